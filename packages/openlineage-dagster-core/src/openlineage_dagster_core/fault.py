"""Says what went wrong in our own code, without what an event says."""

import sqlite3
import traceback

from openlineage_dagster_core.errors import ConfigurationError


def described(error: BaseException) -> str:
    """Return an exception's class and where it was raised, the innermost place last, for a log.

    Its text is left out, because it may repeat what a user's event holds, and with it a secret; the
    texts of a few classes only tell what is missing on this machine.
    """
    frames = traceback.extract_tb(error.__traceback__)
    name = type(error).__name__
    if isinstance(error, (ImportError, sqlite3.Error, ConfigurationError)) or (
        isinstance(error, OSError) and type(error).__module__ == "builtins"
    ):
        name = f"{name}: {error}"
    places = " > ".join(f"{_file(frame.filename)}:{frame.lineno}" for frame in frames[-6:])
    return f"{name} at {places}" if places else name


def _file(name: str) -> str:
    return "/".join(name.replace("\\", "/").split("/")[-2:])
