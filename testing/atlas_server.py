"""A real Apache Atlas for tests: that of `ATLAS_URL`, or one that `start.sh` starts."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from dagster_home import wait_until

Json = dict[str, Any]

START = Path(__file__).resolve().parents[2] / "shared" / "atlas" / "start.sh"
"""Installs Atlas, starts it and prints its address; if it runs already, prints its address."""

ADMIN, READER = "admin", "reader"
"""Users, each with its name as password; the second one may not write."""

REQUEST_SECONDS = 60.0
INDEXED_SECONDS = 30.0

NO_ATLAS = f"there is no Atlas: set ATLAS_URL, or provide {START}"


class AtlasServer:
    """A client of the REST API, independent of the one that is tested.

    Args:
        url: of the server.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.auth = (ADMIN, ADMIN)

    def transport(self, **options: Any) -> Json:
        """Configure the transport.

        Args:
            options: beside or instead of address and credentials.

        Returns:
            The transport, as openlineage-python's configuration has it.
        """
        return {
            "type": "openlineage_dagster_core.atlas.AtlasTransport",
            "url": self.url,
            "auth": {"type": "basic", "username": ADMIN, "password": ADMIN},
            **options,
        }

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """Ask the server.

        Args:
            method: of HTTP.
            path: below `/api/atlas/v2`.
            options: of requests.

        Returns:
            The answer, whatever its status.
        """
        url = f"{self.url}/api/atlas/v2/{path}"
        return self._session.request(method, url, timeout=REQUEST_SECONDS, **options)

    def get(self, path: str, **query: Any) -> Json:
        """Get a JSON object.

        Args:
            path: below `/api/atlas/v2`.
            query: of the address.

        Returns:
            The object.
        """
        answer = self.request("GET", path, params=query)
        assert answer.ok, f"{answer.status_code} {answer.url}: {answer.text[:500]}"
        found: Json = answer.json()
        return found

    def entity(self, kind: str, qualified_name: str) -> Json:
        """Get an entity that is not deleted.

        Args:
            kind: its type.
            qualified_name: its name.

        Returns:
            `entity` and `referredEntities`.
        """
        path = f"entity/uniqueAttribute/type/{kind}"
        return self.get(path, **{"attr:qualifiedName": qualified_name})

    def entities(self, kind: str, namespace: str) -> list[Json]:
        """List the entities of a namespace, without those that are deleted.

        Args:
            kind: a type that has the attribute `namespace`.
            namespace: its value.

        Returns:
            The entities in full; those that the server has put into its index.
        """
        found = self.request(
            "POST",
            "search/basic",
            json={
                "typeName": kind,
                "excludeDeletedEntities": True,
                "limit": 500,
                "entityFilters": {
                    "attributeName": "namespace",
                    "operator": "eq",
                    "attributeValue": namespace,
                },
            },
        ).json()
        headers = found.get("entities") or []
        return [self.get(f"entity/guid/{header['guid']}")["entity"] for header in headers]

    def wait_for(self, kind: str, namespace: str, count: int) -> list[Json]:
        """Wait until the server's index has a number of entities, or more.

        Args:
            kind: a type that has the attribute `namespace`.
            namespace: its value.
            count: how many.

        Returns:
            The entities in full.
        """
        found: list[Json] = []

        def has_enough() -> bool:
            found[:] = self.entities(kind, namespace)
            return len(found) >= count

        wait_until(has_enough, INDEXED_SECONDS, f"{count} of {kind} in {namespace}")
        return found

    def drawn(self, kind: str, qualified_name: str) -> set[tuple[str, str]]:
        """List the edges that the server draws around an entity, those of deleted ones included.

        Args:
            kind: its type.
            qualified_name: its name.

        Returns:
            The qualified names at both ends.
        """
        path = f"lineage/uniqueAttribute/type/{kind}"
        lineage = self.get(path, depth=20, **{"attr:qualifiedName": qualified_name})
        nodes = lineage["guidEntityMap"]
        return {
            tuple(nodes[each[end]]["attributes"]["qualifiedName"] for end in ENDS)
            for each in lineage["relations"]
        }

    def close(self) -> None:
        """Let go of connections."""
        self._session.close()


ENDS = ("fromEntityId", "toEntityId")


@pytest.fixture(scope="session")
def atlas() -> Iterator[AtlasServer]:
    """An Atlas with `admin` and `reader`; what it holds is of all tests and of earlier ones."""
    with contextlib.ExitStack() as stack:
        url = os.environ.get("ATLAS_URL") or stack.enter_context(_started())
        yield stack.enter_context(contextlib.closing(AtlasServer(url)))


@contextlib.contextmanager
def _started() -> Iterator[str]:
    if not START.exists() or shutil.which("java") is None:
        pytest.skip(NO_ATLAS)
    folder = Path(os.environ.get("ATLAS_DIR") or Path(tempfile.gettempdir()) / "atlas-2.1.0")
    pid = folder / "atlas.pid"
    before = pid.read_text() if pid.exists() else ""
    environ = {**os.environ, "ATLAS_DIR": str(folder)}
    answer = subprocess.run([START], env=environ, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    try:
        yield answer.stdout.strip()
    finally:
        if pid.read_text() != before:
            os.kill(int(pid.read_text()), signal.SIGTERM)


@pytest.fixture
def atlas_namespace() -> str:
    """A namespace of the test's own."""
    return f"test/{uuid.uuid4().hex}"
