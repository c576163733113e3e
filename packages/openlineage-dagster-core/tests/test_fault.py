"""What a log says of an exception of ours."""

import sqlite3

import pytest
import requests

from openlineage_dagster_core import fault
from openlineage_dagster_core.errors import ConfigurationError


def raised(error: Exception) -> str:
    try:
        raise error
    except type(error) as caught:
        return fault.described(caught)


@pytest.mark.parametrize("error", [ValueError("a-secret"), KeyError("a-secret")])
def test_the_class_and_the_place_are_told_and_not_the_text(error: Exception) -> None:
    text = raised(error)
    assert text.startswith(type(error).__name__)
    assert "test_fault.py:" in text
    assert "a-secret" not in text


def test_an_address_with_a_password_is_not_told() -> None:
    error = requests.exceptions.InvalidURL("http://user:a-secret@host")
    assert "a-secret" not in raised(error)


@pytest.mark.parametrize(
    "error",
    [
        sqlite3.OperationalError("database or disk is full"),
        ModuleNotFoundError("No module named 'confluent_kafka'"),
        PermissionError(13, "Permission denied", "/nowhere/outbox.db"),
        ConfigurationError("timeout", "soon", "a number"),
    ],
)
def test_what_is_missing_on_this_machine_is_told(error: Exception) -> None:
    assert str(error) in raised(error)


def test_an_exception_that_was_never_raised_has_no_place() -> None:
    assert fault.described(ValueError("x")) == "ValueError"
