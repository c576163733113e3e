"""Makes text that others wrote (names, reasons, answers) safe to print on a terminal."""

from __future__ import annotations

import unicodedata

import click


def escaped(text: object) -> str:
    r"""Escape what a terminal would obey instead of show.

    Args:
        text: names, reasons and answers of others; `str` is taken of it.

    Returns:
        One line: control characters, escape sequences, line ends, invisible and
        direction-changing characters and lone surrogates are written as `\x1b`, `\n`, `\u202e`.
    """
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(
        each
        if each.isprintable() or unicodedata.category(each) == "Zs"
        else each.encode("unicode_escape").decode("ascii")
        for each in shown
    )


def echo(line: str, *, err: bool = False) -> None:
    """Print one line, escaped.

    Args:
        line: without a line end.
        err: whether to print to standard error.
    """
    click.echo(escaped(line), err=err)
