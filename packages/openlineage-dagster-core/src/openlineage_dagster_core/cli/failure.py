"""How a command fails: in one sentence, with the next step, and never with a traceback."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

import click

OK = 0
INCOMPLETE = 1
"""It was done, and not all is well: something is left, or was found."""

FAILED = 2
"""It could not be done."""

INTERRUPTED = 130
"""By Ctrl-C, as shells have it."""

LONGEST_CAUSE = 300


class CommandError(click.ClickException):
    """What a command cannot do.

    Args:
        problem: what is wrong, as a sentence.
        next_step: what to do about it, as a sentence.
    """

    exit_code = FAILED

    def __init__(self, problem: str, next_step: str) -> None:
        super().__init__(f"{problem} {next_step}")
        self.problem = problem
        self.next_step = next_step


@contextlib.contextmanager
def explained(doing: str, next_step: str) -> Iterator[None]:
    """Turn whatever a library raises into one sentence.

    Args:
        doing: what cannot be done if it raises, such as `The instance cannot be opened`.
        next_step: what to do then, as a sentence.

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
    """Say why something failed, in one line and without secrets.

    Args:
        error: whatever a library raised.

    Returns:
        The class and the text of what began it.
    """
    # Only here, where something has failed already: it is large.
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
