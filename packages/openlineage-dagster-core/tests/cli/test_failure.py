"""How commands fail: one sentence, the cause, no secrets."""

import sqlite3

import click
import pytest

from openlineage_dagster_core.cli.failure import CommandError, cause_of, explained


def test_what_a_library_raises_becomes_a_sentence_with_the_next_step() -> None:
    with (
        pytest.raises(CommandError) as caught,
        explained("The house cannot be entered", "Take the key."),
    ):
        raise ValueError("no door.")
    assert str(caught.value) == "The house cannot be entered: ValueError: no door. Take the key."


@pytest.mark.parametrize("error", [CommandError("A.", "B."), click.Abort(), KeyboardInterrupt()])
def test_what_is_explained_already_and_ctrl_c_pass(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, explained("It fails", "Do."):
        raise error
    assert caught.value is error


def test_the_cause_is_what_began_it_in_one_line() -> None:
    first = sqlite3.OperationalError("unable to open\n database file")
    middle = RuntimeError("sqlalchemy says so")
    middle.__cause__ = first
    last = ValueError("all went wrong")
    last.__cause__ = middle
    assert cause_of(last) == "SQLite: unable to open database file"


def test_a_cause_tells_no_secret() -> None:
    error = ValueError("could not connect to postgresql://ann:hunter2@db/dagster")
    assert "hunter2" not in cause_of(error)
    assert "db/dagster" in cause_of(error)


def test_missing_permission_names_the_file() -> None:
    assert cause_of(PermissionError(13, "denied", "/etc/x")) == "no permission for /etc/x"


def test_an_error_without_a_text_is_named_by_its_class() -> None:
    assert cause_of(KeyError()) == "KeyError"
