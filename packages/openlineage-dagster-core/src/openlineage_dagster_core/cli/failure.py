"""How a command fails: with one sentence and the next step, without a traceback."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

import click

from openlineage_dagster_core.cli.terminal_text import escaped

OK = 0
INCOMPLETE = 1
"""The command did its work and something is left, or a check found something."""

FAILED = 2
"""The command could not do its work."""

INTERRUPTED = 130
"""Ctrl-C, as shells number it."""

LONGEST_CAUSE = 300


class CommandError(click.ClickException):
    """A command cannot go on.

    Args:
        problem: what is wrong, as a sentence.
        next_step: what the user can do about it, as a sentence.
    """

    exit_code = FAILED

    def __init__(self, problem: str, next_step: str) -> None:
        super().__init__(f"{problem} {next_step}")
        self.problem = problem
        self.next_step = next_step

    def format_message(self) -> str:
        """Return what is printed: names and answers of others may be in it."""
        return escaped(self.message)


@contextlib.contextmanager
def explained(doing: str, next_step: str) -> Iterator[None]:
    """Turn whatever a library raises into a `CommandError`.

    Args:
        doing: what failed, such as `The instance cannot be opened`.
        next_step: what the user can do about it, as a sentence.

    Raises:
        CommandError: instead of what was raised.
    """
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except Exception as error:
        raise CommandError(f"{doing}: {cause_of(error)}.", next_step) from error


def cause_of(error: BaseException) -> str:
    """Describe why something failed, in one line and without secrets.

    Args:
        error: whatever a library raised.

    Returns:
        The class and the text of the first error in its chain of causes.
    """
    # A large module, needed only after a failure.
    from openlineage_dagster_core.redaction import without_secrets

    first = error
    while (cause := first.__cause__ or getattr(first, "orig", None)) is not None:
        first = cause
    text = " ".join(without_secrets(str(first)).split())
    if len(text) > LONGEST_CAUSE:
        text = f"{text[:LONGEST_CAUSE]}…"
    if isinstance(first, PermissionError) and first.filename:
        return f"no permission for {first.filename}"
    name = type(first).__name__
    if isinstance(first, sqlite3.Error):
        name = "SQLite"
    return f"{name}: {text}".rstrip(".") if text else name
