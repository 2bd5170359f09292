"""Checks of arguments. Errors never show a token or the value of a header."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TypeAlias

from asset_service.errors import invalid_option

Timeout: TypeAlias = float | timedelta | None
"""Time for a call with all retries, in seconds or as a timedelta; 0 for no limit, None for the client's."""

_RESERVED = re.compile(
    r"(?:authorization|asset-user-token|connection|content-.*|host|te|trailer|transfer-encoding|accept-encoding"
    r"|user-agent|(?:connect|grpc)-.*)"
)
"""Headers of the protocol and of the client's identity."""
_NAME = re.compile(r"[a-z0-9_.-]+")
_VALUE = re.compile(r"[\x20-\x7e]*")
_MAX_DEPTH = 100
"""Maximum nesting of lists and objects in one attribute, as in the service."""


def check_number(name: str, value: float | None, least: float) -> None:
    """Raises OPTION_INVALID if a value is not a number of at least `least`."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value) or value < least:
        raise invalid_option(f"{name} must be a number, {least} or more, not {value!r}")


def check_whole(name: str, value: int | None, least: int = 0) -> None:
    """Raises OPTION_INVALID if a value is not a whole number of at least `least`."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**63:
        raise invalid_option(f"{name} must be a whole number, {least} or more, not {value!r}")


def check_text(name: str, value: str | None) -> str:
    """The text, empty for None. Raises OPTION_INVALID for anything else, or text that is not Unicode."""
    if value is None:
        return ""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise invalid_option(f"{name} must be a text in Unicode, not half a character") from None
        return value
    raise invalid_option(f"{name} must be a text, not {type(value).__name__}")


def check_ids(name: str, value: Iterable[str]) -> list[str]:
    """The ids as a list. Raises OPTION_INVALID for a text, which is a list of its characters, or other items."""
    if not isinstance(value, (str, bytes)):
        ids = list(value)
        if all(isinstance(each, str) for each in ids):
            return [check_text(name, each) for each in ids]
    raise invalid_option(f"{name} must be a list of texts")


def check_json(name: str, value: object, depth: int = 0) -> None:
    """Raises OPTION_INVALID for a value that JSON cannot represent, and that would arrive changed."""
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        check_text(name, value)
        return
    if isinstance(value, (int, float)) and math.isfinite(value):
        if isinstance(value, int) and abs(value) > 2**53:
            raise invalid_option(f"{name} is a number that JSON does not keep: give a text")
        return
    if depth < _MAX_DEPTH:
        if isinstance(value, (list, tuple)):
            for index, item in enumerate(value):
                check_json(f"{name}.{index}", item, depth + 1)
            return
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            for key, item in value.items():
                check_json(f"{name}.{key}", item, depth + 1)
            return
    raise invalid_option(
        f"{name} must be a value that JSON has: a text, a finite number, True, False, None, a list or a dict"
    )


def check_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """The headers with lower-case names. Raises OPTION_INVALID for one that the client sets itself or that is not valid."""
    checked: dict[str, str] = {}
    for given, value in (headers or {}).items():
        name = str(given).lower()
        if not _NAME.fullmatch(name) or name.endswith("-bin"):
            raise invalid_option(f"{given!r} cannot be the name of a header")
        if _RESERVED.fullmatch(name):
            raise invalid_option(f"the header {name} is set by the client itself")
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            raise invalid_option(f"the value of the header {name} has to be a text of visible ASCII characters")
        checked[name] = value
    return checked


def to_seconds(name: str, value: float | timedelta | None) -> float | None:
    """A time in seconds. Raises OPTION_INVALID if it is not a number of seconds or a timedelta of at least 0."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    check_number(name, seconds, 0)
    return seconds
