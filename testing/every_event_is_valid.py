"""A pytest plugin: every OpenLineage event that any test emits is checked against the schemas."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
from openlineage.client import OpenLineageClient
from openlineage.client.serde import Serde

import openlineage_spec
from openlineage_dagster_core.delivery.client import LineageClient
from openlineage_dagster_core.serialisation import Event

# A busy machine is no fault of an example.
hypothesis.settings.register_profile("workspace", deadline=None)
hypothesis.settings.load_profile("workspace")

NO_SPEC = (
    f"the official OpenLineage schemas are not in {openlineage_spec.SPEC_DIR}; "
    "set OPENLINEAGE_SPEC_DIR"
)


_IDS_AND_TIMES = re.compile(
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"
    r"|\b20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
    r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{6}\+00:00"
)
"""Of thousands of runs all is alike but these; what is not well-formed is not among them."""

_valid: set[str] = set()
"""What one test sends is looked at again where it arrives; without ids and times."""


def check(event: openlineage_spec.Json) -> None:
    """Fail the test where an event is wrong.

    Args:
        event: as it goes over the wire.
    """
    if openlineage_spec.is_present():
        text = _IDS_AND_TIMES.sub("", json.dumps(event, sort_keys=True))
        if text in _valid:
            return
        found = openlineage_spec.faults(event)
        if found:
            pytest.fail("\n".join([*found, json.dumps(event, indent=1)[:4000]]))
        _valid.add(text)


@pytest.fixture(autouse=True)
def _every_event_is_valid(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    emit, hand_over = OpenLineageClient.emit, LineageClient._hand_over  # noqa: SLF001
    emitted: list[openlineage_spec.Json] = []

    def recording_emit(self: OpenLineageClient, event: Any) -> None:
        emit(self, event)
        emitted.append(json.loads(Serde.to_json(event)))

    def recording_hand_over(self: LineageClient, event: Event, text: str | None) -> None:
        hand_over(self, event, text)
        emitted.append(json.loads(text or Serde.to_json(event)))

    monkeypatch.setattr(OpenLineageClient, "emit", recording_emit)
    monkeypatch.setattr(LineageClient, "_hand_over", recording_hand_over)
    yield
    # Afterwards and not when it is sent: that may be in a thread, and a failure there fails no
    # test.
    for event in emitted:
        check(event)
    _valid.clear()


def pytest_report_header() -> str:
    """Say where the schemas are.

    Returns:
        A line for the head of the report.
    """
    if openlineage_spec.is_present():
        return f"OpenLineage schemas: {openlineage_spec.SPEC_DIR}"
    return f"OpenLineage schemas: NOT FOUND, no event is validated: {NO_SPEC}"
