"""The testbed's API: requests that end in time, and what its refusals mean. In the child process only.

Importing this reads the address of the API and the place of the credentials, as the testbed's own library does.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

import requests
from iotlabcli.rest import Api

from e2c.environments import limits
from e2c.errors import TestbedError

ATTEMPTS = 3
PAUSE_S = 1.0
LONGEST = 300
"""Characters of what the API says that are shown."""
GATEWAY = (502, 503, 504)
"""Codes of servers that stand before the one that would have answered."""
TESTBED = "FIT IoT-LAB"


class SilentError(TestbedError):
    """The API gave no answer; what was asked may have happened all the same.

    Attributes:
        sent: the request may have reached it.
    """

    sent = True


class BoundedApi(Api):  # type: ignore[misc]
    """The library's API client with a time limit for every request; what only asks, or ends something, is repeated.

    Attributes:
        limit_s: seconds without a byte after which a request is given up.
    """

    def __init__(self, user: str, password: str) -> None:
        super().__init__(user, password)
        self.limit_s = limits.limits().api_timeout

    def method(
        self, url: str, method: str = "get", json: Any = None, files: dict[str, Any] | None = None, raw: bool = False
    ) -> Any:
        """One request; see the library.

        Raises:
            SilentError: no answer, or a page instead of one.
            HTTPError: refused.
        """
        attempts = 1 if method == "post" else ATTEMPTS
        for attempt in range(1, attempts + 1):
            try:
                return super().method(url, method, json=json, files=files, raw=raw)
            except (SilentError, HTTPError) as error:
                if attempt == attempts or not lost(error):
                    raise
                time.sleep(PAUSE_S * attempt)
            except ValueError:  # no JSON
                raise SilentError(
                    f"something else answers in place of the API of {TESTBED}",
                    where=urlsplit(url).hostname,
                    why="what came is no JSON; it may be a page of a proxy that asks for a login",
                    hint=f"Look at what a browser shows at {url}",
                ) from None
        raise AssertionError("unreachable")

    @contextmanager
    def patient(self, limit_s: float) -> Iterator[None]:
        """Another time limit for the requests of a block."""
        usual, self.limit_s = self.limit_s, limit_s
        try:
            yield
        finally:
            self.limit_s = usual

    def _request(self, url: str, method: str, **arguments: Any) -> requests.Response:
        try:
            return requests.request(method, url, timeout=self.limit_s, **arguments)
        except requests.Timeout:
            why = f"no answer within {self.limit_s:g} s"
            raise _silent(url, why, limits.advice("api_timeout")) from None
        except requests.RequestException as error:
            silent = _silent(url, _reason(error), "Try again later, or look at the testbed's news")
            silent.sent = "Connection refused" not in str(error) and "resolve" not in str(error)
            raise silent from None


def _silent(url: str, why: str, hint: str) -> SilentError:
    return SilentError(f"the API of {TESTBED} does not answer", where=urlsplit(url).hostname, why=why, hint=hint)


def _reason(error: requests.RequestException) -> str:
    text = str(error)
    if "Connection refused" in text:
        return "connection refused"
    if "resolve" in text:
        return "its name is not known here"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not accepted"
    return "the connection broke off"


def lost(error: Exception) -> bool:
    """Whether a request may have been carried out though its answer says nothing of it."""
    if isinstance(error, HTTPError):
        return error.code in GATEWAY or (error.code >= 500 and not _said(error))
    return isinstance(error, SilentError)


def message(error: HTTPError) -> str:
    """What the API itself says of a refusal, on one line; empty where a page or nothing came."""
    plain = " ".join(str(error.msg).split())
    return (_said(error) or ("" if "<" in plain else plain))[:LONGEST]


def _said(error: HTTPError) -> str:
    """The message in the form that the API itself gives its refusals; empty where something else answered."""
    try:
        answer = json.loads(str(error.msg))
    except ValueError:
        return ""
    found = answer.get("message") if isinstance(answer, dict) else None
    return " ".join(str(found or "").split())


def refusal(error: HTTPError, user: str, doing: str) -> TestbedError:
    """A refusal as one sentence.

    Args:
        error: what the API answered.
        user: the account.
        doing: what was asked, to follow "refuses to".
    """
    said = message(error)
    nodes = re.search(r"Invalid nodes? state *: *\[?([^\]]*)", said)
    if error.code == 401:
        return TestbedError(
            f"{TESTBED} refuses the password of {user}", hint=f"Write the right one with: iotlab-auth -u {user}"
        )
    if nodes:
        return TestbedError(
            f"nodes of {TESTBED} are not available",
            why=nodes[1].strip() or said,
            hint="Take others; the state of all is told by: iotlab-status --nodes",
        )
    if lost(error):
        return TestbedError(
            f"the API of {TESTBED} is out of order", why=f"it answers with HTTP code {error.code}", hint="Try later"
        )
    return TestbedError(f"{TESTBED} refuses to {doing}", why=said or f"it answers with HTTP code {error.code}")


@contextmanager
def sentences(user: str, doing: str) -> Iterator[None]:
    """Turn refusals of a block into :class:`TestbedError`."""
    try:
        yield
    except HTTPError as error:
        raise refusal(error, user, doing) from None
