"""Fixtures of this room."""

from config_cases import scenario

__all__ = ["scenario"]
