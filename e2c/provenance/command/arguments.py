"""Arguments that several subcommands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from e2c.provenance.folder import DataFolder
from e2c.provenance.serving.sessions import LONGEST_S

Commands = Any
"""What ``add_subparsers`` gives; argparse has no public name for it."""


def add(commands: Commands, name: str, function: Callable[[argparse.Namespace], int], text: str) -> Any:
    """A subcommand on a data folder. ``text`` is a clause in lower case, without full stop."""
    parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="data folder of the service")
    parser.set_defaults(command=function)
    return parser


def folder(options: argparse.Namespace) -> DataFolder:
    """The data folder that was named."""
    return DataFolder(options.data.absolute())


def port(text: str) -> int:
    """A port, 0 included."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return number


def seconds(text: str) -> float:
    """A time in seconds, up to a day."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= LONGEST_S:  # what is no number (NaN) neither
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds above 0 and up to {LONGEST_S}, a day")
    return number


def positive(text: str) -> int:
    """A number from 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1 is needed")
    return number
