"""A pytest plugin: every OpenLineage event that any test emits is checked against the schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
from openlineage.client import OpenLineageClient
from openlineage.client.serde import Serde
from openlineage.client.transport import Transport

import openlineage_spec
from openlineage_dagster_core.delivery import posting
from openlineage_dagster_core.serialisation import Event

# A busy machine is no fault of an example.
hypothesis.settings.register_profile("workspace", deadline=None)
hypothesis.settings.load_profile("workspace")

NO_SPEC = (
    f"the official OpenLineage schemas are not in {openlineage_spec.SPEC_DIR}; "
    "set OPENLINEAGE_SPEC_DIR"
)


def check(event: openlineage_spec.Json) -> None:
    """Fail the test where an event is wrong.

    Args:
        event: as it goes over the wire.
    """
    if openlineage_spec.is_present():
        found = openlineage_spec.faults(event)
        if found:
            pytest.fail("\n".join([*found, json.dumps(event, indent=1)[:4000]]))


@pytest.fixture(autouse=True)
def _every_event_is_valid(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    emit, send = OpenLineageClient.emit, posting.send
    emitted: list[openlineage_spec.Json] = []

    def recording_emit(self: OpenLineageClient, event: Any) -> None:
        emit(self, event)
        emitted.append(json.loads(Serde.to_json(event)))

    def recording_send(transport: Transport, event: Event, text: str | None) -> None:
        send(transport, event, text)
        is_text_sent = text is not None and posting.takes_text(transport)
        emitted.append(json.loads((is_text_sent and text) or Serde.to_json(event)))

    monkeypatch.setattr(OpenLineageClient, "emit", recording_emit)
    monkeypatch.setattr(posting, "send", recording_send)
    yield
    # Afterwards and not when it is sent: that may be in a thread, and a failure there fails no
    # test.
    for event in emitted:
        check(event)


def pytest_report_header() -> str:
    """Say where the schemas are.

    Returns:
        A line for the head of the report.
    """
    if openlineage_spec.is_present():
        return f"OpenLineage schemas: {openlineage_spec.SPEC_DIR}"
    return f"OpenLineage schemas: NOT FOUND, no event is validated: {NO_SPEC}"
