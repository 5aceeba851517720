"""What the Grid'5000 API and its client say when something fails, as sentences for the user."""

from __future__ import annotations

import re
from typing import Any

import requests
from grid5000.exceptions import Grid5000AuthenticationError, Grid5000Error

from e2c.environments.g5k import credentials
from e2c.environments.limits import advice, limits
from e2c.errors import TestbedError

LONGEST = 300
NO_ANSWER = (502, 503, 504)
"""Codes of a proxy that does not know what became of the request."""
STATUS_PAGE = "See https://www.grid5000.fr/status/ and try again later"
_PROXY = re.compile(r"Request to \S+ failed with status \d+: ?")
_TAG = re.compile(r"<(head|style|script)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)


class SilentError(TestbedError):
    """The API did not answer, so nobody knows whether the request arrived."""


def translate(error: Exception, doing: str) -> TestbedError:
    """The error as a sentence.

    Args:
        error: what the client raised.
        doing: the failure from the user's side, one clause: ``the job could not be submitted``.
    """
    if isinstance(error, TestbedError):
        return error
    if isinstance(error, requests.Timeout) or (
        isinstance(error, requests.RequestException) and "timed out" in str(error)
    ):
        return SilentError(
            doing,
            where="Grid'5000",
            why=f"its API did not answer within {limits().api_timeout:g} s",
            hint=advice("api_timeout"),
        )
    if isinstance(error, requests.RequestException):
        return SilentError(doing, where="Grid'5000", why=_network(error), hint=STATUS_PAGE)
    if isinstance(error, Grid5000AuthenticationError):
        return TestbedError(
            doing,
            where="Grid'5000",
            why="it does not accept the user name or the password",
            hint=f"Correct username and password in {credentials.file()}",
        )
    if isinstance(error, Grid5000Error):
        return _answered(error, doing)
    if isinstance(error, (TypeError, AttributeError, LookupError)):  # its client found other fields, or a page
        why = "its API answers something else than expected, as behind a proxy that asks for a login"
        return TestbedError(doing, where="Grid'5000", why=why, hint=STATUS_PAGE)
    return TestbedError(doing, where="Grid'5000", why=words(error) or type(error).__name__)


def _answered(error: Grid5000Error, doing: str) -> TestbedError:
    code = int(error.response_code or 0)
    said = words(error.error_message)
    if code in NO_ANSWER:
        return SilentError(doing, where="Grid'5000", why=_told(f"its API answers {code}", said), hint=STATUS_PAGE)
    if code >= 500:
        return TestbedError(doing, where="Grid'5000", why=_told(f"its API failed ({code})", said), hint=STATUS_PAGE)
    if code == 403:
        return TestbedError(
            doing,
            where="Grid'5000",
            why=_told("it is not allowed", said),
            hint="Check that your account is active and may use these machines: https://api.grid5000.fr/ui/account",
        )
    return TestbedError(doing, where="Grid'5000", why=said or f"its API answers {code}")


def _told(what: str, said: str) -> str:
    return f"{what}: {said}" if said else what


def _network(error: requests.RequestException) -> str:
    text = str(error)
    if "NameResolution" in text or "getaddrinfo" in text or "Name or service not known" in text:
        return "the name of its API does not resolve, as without a network"
    if "Connection refused" in text:
        return "nothing listens at the address of its API"
    if isinstance(error, requests.exceptions.SSLError):
        return "the certificate of its API is not accepted"
    if isinstance(error, requests.exceptions.RetryError):
        return "its API failed again and again"
    return "its API closed the connection without an answer"


def arrived(error: BaseException) -> bool:
    """Whether a request that failed may have been carried out all the same."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return False
    if isinstance(error, requests.RequestException):
        return not any(words in str(error) for words in ("NewConnectionError", "NameResolution"))
    return isinstance(error, Grid5000Error) and int(error.response_code or 0) in NO_ANSWER


def words(said: Any) -> str:
    """The testbed's own words in one line, without markup and without what its proxies add."""
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said or "")
    if "<html" in text.lower():
        text = _TAG.sub(" ", text)
    text = _PROXY.sub("", " ".join(text.split())).strip().rstrip(".")
    return text if len(text) <= LONGEST else f"{text[:LONGEST].rstrip()} ..."
