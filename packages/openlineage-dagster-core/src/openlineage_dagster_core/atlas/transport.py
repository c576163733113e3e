"""The transport to Atlas: writes what events say through Atlas's REST API."""

import contextlib
import threading
from collections.abc import Collection, Mapping
from typing import Any

import requests
from openlineage.client.client import Event
from openlineage.client.transport import Transport

from openlineage_dagster_core.atlas.config import AtlasConfig
from openlineage_dagster_core.atlas.entities import Translation, translate
from openlineage_dagster_core.atlas.typedefs import COLUMN_LINEAGE, JOB, VERSION, type_definitions
from openlineage_dagster_core.delivery.bounded_http import BoundedAdapter
from openlineage_dagster_core.serialisation import to_object

ANSWER_BYTES = 64 * 1024 * 1024  # Bytes read of an answer: a job with many thousand datasets
MESSAGE_CHARACTERS = 500  # Characters of an answer that an error repeats

# Atlas makes duplicates of an entity that two requests create at the same time.
_writing = threading.Lock()


class AtlasTransport(Transport):
    """Writes events to Apache Atlas as datasets, columns, jobs and column lineage.

    All transports of a process write one after the other.
    """

    kind = "atlas"
    config_class = AtlasConfig

    def __init__(self, config: AtlasConfig) -> None:
        self.config = config
        self._has_types = False
        self._session = requests.Session()
        self._session.auth, self._session.verify = config.auth, config.verify
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, BoundedAdapter(ANSWER_BYTES))

    def emit(self, event: Event) -> None:
        """Write what an event says, and wait for the answer.

        Raises:
            requests.HTTPError: Atlas answers with a status of 4xx or 5xx, which `response` has.
            requests.RequestException: Atlas gives no answer.
            BackendUnavailableError: Atlas redirects, or there is no token for it.
        """
        translation = translate(to_object(event))  # type: ignore[arg-type]
        with _writing:
            if not self._has_types:
                self._make_types()
            try:
                self._write(translation)
            except requests.HTTPError:
                # The server may have been replaced by an empty one.
                if not self._make_types():
                    raise
                self._write(translation)

    def close(self, timeout: float = -1) -> bool:  # noqa: ARG002 -- nothing waits
        """Close the connections; return True, because `emit` waits for each answer."""
        self._session.close()
        return True

    def _make_types(self) -> bool:
        """Make Atlas know our types; return True if it did not know them, or older ones."""
        stored = self._find(f"v2/types/entitydef/name/{JOB}")
        is_outdated = stored is None or float(stored["typeVersion"]) < float(VERSION)
        if is_outdated:
            method = "POST" if stored is None else "PUT"
            self._request(method, "v2/types/typedefs", type_definitions())
        self._has_types = True
        return is_outdated

    def _write(self, translation: Translation) -> None:
        if translation.edges is not None:
            self._delete_outdated(translation.job, translation.edges)
        self._purge(self._request("POST", "v2/entity/bulk", {"entities": translation.entities}))

    def _delete_outdated(self, job: str, edges: Mapping[str, Collection[str]]) -> None:
        """Delete a job that has other edges besides these.

        Atlas goes on drawing an edge that is removed from an entity, so the job is written anew.
        """
        query = {"attr:qualifiedName": job, "minExtInfo": "true", "ignoreRelationships": "true"}
        found = self._find(f"v2/entity/uniqueAttribute/type/{JOB}", query)
        if found is None:
            return
        entity = found["entity"]
        for side, wanted in edges.items():
            stored = entity["attributes"].get(side) or []
            if any(each["uniqueAttributes"]["qualifiedName"] not in wanted for each in stored):
                self._purge(self._request("DELETE", f"v2/entity/guid/{entity['guid']}"))
                return

    def _purge(self, answer: requests.Response) -> None:
        """Remove the processes that a request has deleted: Atlas draws them as deleted ones.

        They stay where the user has no permission for that.
        """
        deleted = (answer.json().get("mutatedEntities") or {}).get("DELETE") or []
        guids = [each["guid"] for each in deleted if each["typeName"] in (JOB, COLUMN_LINEAGE)]
        if guids:
            with contextlib.suppress(requests.HTTPError):
                self._request("PUT", "admin/purge", guids)

    def _find(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """Get what Atlas has at a path; None where it has nothing."""
        try:
            return self._request("GET", path, query=query).json()
        except requests.HTTPError as error:
            if error.response.status_code == 404:
                return None
            raise

    def _request(
        self, method: str, path: str, body: Any = None, query: Mapping[str, str] | None = None
    ) -> requests.Response:
        response = self._session.request(
            method,
            f"{self.config.url.strip().rstrip('/')}/api/atlas/{path}",
            json=body,
            params=query,
            timeout=self.config.timeout,
            allow_redirects=False,
        )
        if not response.ok:
            # Without the address, which may hold a password
            answer = response.text[:MESSAGE_CHARACTERS]
            message = f"Atlas answers {method} {path} with {response.status_code}: {answer}"
            raise requests.HTTPError(message, response=response)
        return response
