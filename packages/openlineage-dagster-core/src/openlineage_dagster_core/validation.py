"""Checks single values of the configuration; the errors name option, value and what is allowed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from typing import TypeVar
from urllib.parse import urlsplit

from openlineage_dagster_core.errors import ConfigurationError

_Choice = TypeVar("_Choice", bound=Enum)


def texts(option: str, value: object) -> tuple[str, ...]:
    """Check a list of texts.

    Args:
        option: the option's name.
        value: what the user gave.

    Returns:
        The texts.

    Raises:
        ConfigurationError: it is no list, or something in it is no text.
    """
    allowed = "a list of texts"
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise ConfigurationError(option, value, allowed)
    items = tuple(value)
    for item in items:
        if not isinstance(item, str) or not item:
            raise ConfigurationError(option, item, allowed)
    return items


def one_of(option: str, value: object, choices: type[_Choice]) -> _Choice:
    """Check a choice.

    Args:
        option: the option's name.
        value: what the user gave.
        choices: the values that there are.

    Returns:
        The choice.

    Raises:
        ConfigurationError: there is no such value.
    """
    for choice in choices:
        if value in (choice, choice.value):
            return choice
    allowed = ", ".join(repr(choice.value) for choice in choices)
    raise ConfigurationError(option, value, f"one of {allowed}")


def seconds(option: str, value: object, *, zero: bool = False) -> float:
    """Check a duration.

    Args:
        option: the option's name.
        value: what the user gave, in seconds.
        zero: whether 0 is allowed.

    Returns:
        The duration in seconds.

    Raises:
        ConfigurationError: it is no number, or not positive.
    """
    allowed = f"a number of seconds {'>= 0' if zero else '> 0'}"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigurationError(option, value, allowed)
    if not (value >= 0 if zero else value > 0) or value == float("inf"):
        raise ConfigurationError(option, value, allowed)
    return float(value)


def check_http_url(option: str, url: str) -> None:
    """Check an http(s) address.

    Args:
        option: where it was given.
        url: the address.

    Raises:
        ConfigurationError: it is none; user and password are not in the message.
    """
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
    """Take user and password out of an address, to show it.

    Args:
        url: any text.

    Returns:
        The text without what stands before an `@`, or after a `:` where a port would stand.
    """
    scheme, separator, rest = url.rpartition("://")
    host = rest.rpartition("@")[2]
    # user:password without a host, which is no port.
    return f"{scheme}{separator}" + re.sub(r":(?!\d+(/|$))[^/]+", ":***", host)


def reject_unknown(given: Collection[str], known: Collection[str]) -> None:
    """Refuse options that do not exist, with the nearest one that does.

    Args:
        given: the names that the user wrote.
        known: the names that exist.

    Raises:
        ConfigurationError: a name is not known.
    """
    for name in sorted(set(given) - set(known)):
        nearest = difflib.get_close_matches(name, list(known), n=1)
        hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
        raise ConfigurationError(
            name, "an option that does not exist", ", ".join(sorted(known)) + hint
        )


def whole_number(option: str, value: object, *, least: int) -> int:
    """Check a number of things.

    Args:
        option: the option's name.
        value: what the user gave.
        least: the smallest that is allowed.

    Returns:
        The number.

    Raises:
        ConfigurationError: it is no whole number, or too small.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(option, value, f"a whole number >= {least}")
    return value


def text_by_text(option: str, value: object) -> dict[str, str]:
    """Check a mapping of texts.

    Args:
        option: the option's name.
        value: what the user gave.

    Returns:
        The mapping, in its order.

    Raises:
        ConfigurationError: it is no mapping, or something in it is no text.
    """
    if not isinstance(value, Mapping):
        raise ConfigurationError(option, value, "a mapping of texts to texts")
    for key, text in value.items():
        for item in (key, text):
            if not isinstance(item, str) or not item.strip():
                raise ConfigurationError(option, item, "a mapping of texts to texts")
    return dict(value)
