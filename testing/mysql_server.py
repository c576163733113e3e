"""A real MySQL for tests: the one that `MYSQL_URL` names, or a MariaDB that is started here.

Not `mysql.py`: the driver's package has that name.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as db

from dagster_home import wait_until

DRIVER = "mysql+mysqlconnector"

NO_SERVER = (
    "there is no MySQL: install MariaDB (apt-get install mariadb-server), or set MYSQL_URL to "
    f"{DRIVER}://USER:PASSWORD@HOST:PORT/DATABASE of a user who may create databases"
)
NO_DAGSTER_MYSQL = "there is no dagster-mysql: pip install dagster-mysql 'sqlalchemy<2.1'"


def _program(name: str) -> str | None:
    # Debian's servers are not on the PATH of everyone.
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))


@pytest.fixture(scope="session")
def mysql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a database on a server whose user may create others."""
    pytest.importorskip("dagster_mysql", reason=NO_DAGSTER_MYSQL)
    given = os.environ.get("MYSQL_URL")
    if given:
        yield given
        return
    server, installer = _program("mariadbd"), _program("mariadb-install-db")
    if server is None or installer is None:
        pytest.skip(NO_SERVER)
    folder = tmp_path_factory.mktemp("mysql")
    where = [
        "--no-defaults",
        f"--datadir={folder / 'data'}",
        f"--user={getpass.getuser()}",
    ]
    with (folder / "server.log").open("ab") as log:
        subprocess.run(
            [installer, *where, "--auth-root-authentication-method=normal", "--skip-test-db"],
            stdout=log,
            stderr=log,
            check=True,
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        process = subprocess.Popen(
            # The socket is in the data folder: the whole path may be too long for one.
            [server, *where, "--bind-address=127.0.0.1", f"--port={port}", "--socket=socket"],
            stdout=log,
            stderr=log,
        )
    url = f"{DRIVER}://root@127.0.0.1:{port}/mysql"
    try:
        wait_until(lambda: _answers(url, process, folder / "server.log"), 60, "MariaDB")
        yield url
    finally:
        process.terminate()
        process.wait(60)


def _answers(url: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    engine = db.create_engine(url)
    try:
        with engine.connect():
            return True
    except db.exc.DBAPIError:
        return False
    finally:
        engine.dispose()


@pytest.fixture(scope="session")
def make_mysql_database(mysql_server: str) -> Callable[[], str]:
    """Make an empty database, and return its URL."""

    def make() -> str:
        name = f"test_{uuid.uuid4().hex}"
        engine = db.create_engine(mysql_server)
        try:
            with engine.begin() as connection:
                connection.execute(db.text(f"CREATE DATABASE {name}"))
        finally:
            engine.dispose()
        return db.make_url(mysql_server).set(database=name).render_as_string(hide_password=False)

    return make
