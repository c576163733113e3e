"""What commands leave on the terminal: safe text, errors with the next step, exit statuses."""

import contextlib
import sqlite3
import unicodedata
from collections.abc import Iterator

import click

OK = 0
INCOMPLETE = 1  # The command did its work and something is left, or a check found something
FAILED = 2  # The command could not do its work
INTERRUPTED = 130  # Ctrl-C, as shells number it
LONGEST_CAUSE = 300
DATABASE_STEP = "Check that the database answers."


def escaped(text: object) -> str:
    r"""Return `str(text)` as one line that a terminal shows and does not obey.

    Control characters, escape sequences, line ends, invisible and direction-changing characters and
    lone surrogates become `\x1b`, `\n`, `\u202e`.
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


def echo(line: str) -> None:
    """Print a line to standard output, escaped."""
    click.echo(escaped(line))


def report(line: str) -> None:
    """Print a line to standard error, escaped."""
    click.echo(escaped(line), err=True)


class CommandError(click.ClickException):
    """Ends a command with a message: the problem and the next step, a sentence each."""

    exit_code = FAILED

    def __init__(self, problem: str, next_step: str) -> None:
        super().__init__(f"{problem} {next_step}")
        self.problem = problem
        self.next_step = next_step

    def format_message(self) -> str:
        """Return the printed text, escaped: it may quote foreign names and answers."""
        return escaped(self.message)


@contextlib.contextmanager
def explained(failure: str, next_step: str = DATABASE_STEP) -> Iterator[None]:
    """Turn any exception in the block into a `CommandError`, unless click handles it.

    `failure` says what failed, without a full stop: `The instance cannot be opened`.
    """
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except Exception as error:
        raise CommandError(f"{failure}: {cause_of(error)}.", next_step) from error


def cause_of(error: BaseException) -> str:
    """Describe the first error in a chain of causes, in one line and without secrets."""
    # A large module, needed only after a failure.
    from openlineage_dagster_core.redaction import without_secrets

    first = error
    while (cause := first.__cause__ or getattr(first, "orig", None)) is not None:
        first = cause
    if isinstance(first, PermissionError) and first.filename:
        return f"no permission for {first.filename}"
    text = " ".join(without_secrets(str(first)).split())
    if len(text) > LONGEST_CAUSE:
        text = f"{text[:LONGEST_CAUSE]}…"
    name = "SQLite" if isinstance(first, sqlite3.Error) else type(first).__name__
    return f"{name}: {text}".rstrip(".") if text else name
