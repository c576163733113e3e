"""Checks single values of the configuration; the errors name option, value and what is allowed."""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from typing import TypeVar
from urllib.parse import urlsplit

from openlineage_dagster_core.errors import ConfigurationError, UnknownOptionError

_Choice = TypeVar("_Choice", bound=Enum)


def text(option: str, value: object) -> str:
    """Return a text that is not empty; else raise ConfigurationError."""
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError(option, value, "a text that is not empty")
    return value


def flag(option: str, value: object) -> bool:
    """Return True or False, also for 1, 0 and numpy's; else raise ConfigurationError."""
    if value not in (0, 1):
        raise ConfigurationError(option, value, "true or false")
    return bool(value)


def texts(option: str, value: object) -> tuple[str, ...]:
    """Return a list of texts that are not empty, as a tuple; else raise ConfigurationError."""
    allowed = "a list of texts"
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise ConfigurationError(option, value, allowed)
    items = tuple(value)
    for item in items:
        if not isinstance(item, str) or not item:
            raise ConfigurationError(option, item, allowed)
    return items


def one_of(option: str, value: object, choices: type[_Choice]) -> _Choice:
    """Return the member of `choices` that a value names; else raise ConfigurationError."""
    for choice in choices:
        if value in (choice, choice.value):
            return choice
    allowed = ", ".join(repr(choice.value) for choice in choices)
    raise ConfigurationError(option, value, f"one of {allowed}")


def seconds(option: str, value: object, *, zero: bool = False) -> float:
    """Return a positive duration, or 0 where `zero` allows it; else raise ConfigurationError."""
    allowed = f"a number of seconds {'>= 0' if zero else '> 0'}"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigurationError(option, value, allowed)
    if not (value >= 0 if zero else value > 0) or value == float("inf"):
        raise ConfigurationError(option, value, allowed)
    return float(value)


def check_http_url(option: str, url: str) -> None:
    """Check an http(s) address; the ConfigurationError hides user and password."""
    allowed = "an address such as http://localhost:5000 or https://user@host/path/"
    try:
        parts = urlsplit(url.strip())
        port_is_valid = parts.port is None or parts.port > 0
        host = parts.hostname
    except ValueError:
        raise ConfigurationError(option, without_credentials(url), allowed) from None
    if parts.scheme not in ("http", "https") or not host or not port_is_valid:
        raise ConfigurationError(option, without_credentials(url), allowed)


def without_credentials(url: str) -> str:
    """Return an address to show, without user and password.

    What stands before an `@`, or after a `:` where a port would stand, is left out.
    """
    scheme, separator, rest = url.rpartition("://")
    host = rest.rpartition("@")[2]
    # user:password without a host, which is no port.
    return f"{scheme}{separator}" + re.sub(r":(?!\d+(/|$))[^/]+", ":***", host)


def reject_unknown(given: Collection[str], known: Collection[str]) -> None:
    """Raise ConfigurationError for an option that does not exist; name the nearest that does."""
    for name in sorted(set(given) - set(known)):
        nearest = difflib.get_close_matches(name, list(known), n=1)
        hint = f"did you mean {nearest[0]!r}? " if nearest else ""
        raise UnknownOptionError(name, f"{hint}The options are {', '.join(sorted(known))}")


def whole_number(option: str, value: object, *, least: int) -> int:
    """Return a whole number of at least `least`; else raise ConfigurationError."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(option, value, f"a whole number >= {least}")
    return value


def text_by_text(option: str, value: object) -> dict[str, str]:
    """Return a mapping of texts to texts, in its order; else raise ConfigurationError."""
    allowed = "a mapping of texts to texts"
    if not isinstance(value, Mapping):
        raise ConfigurationError(option, value, allowed)
    for item in (*value, *value.values()):
        if not isinstance(item, str) or not item.strip():
            raise ConfigurationError(option, item, allowed)
    return dict(value)
