"""Golden files: the events of one situation, readable, rewritten by `--update-golden`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from dagster import __version__ as dagster_version
from openlineage.client.constants import __version__ as client_version
from openlineage.client.serde import Serde

import every_event_is_valid
from openlineage_dagster_core.version import PRODUCER, REPOSITORY_URL, __version__

Json = dict[str, Any]

_STORED = re.compile(r"file:///.+/storage/")
"""Where the default I/O manager of a temporary instance puts what it is given."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the flag.

    Args:
        parser: pytest's.
    """
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew")


def to_json(events: Iterable[Any]) -> list[Json]:
    """Serialise events as the client does.

    Args:
        events: OpenLineage events.

    Returns:
        Their JSON, each validated.
    """
    written = [json.loads(Serde.to_json(event)) for event in events]
    for event in written:
        every_event_is_valid.check(event)
    return written


def _without_versions(value: Any) -> Any:
    """Take out what changes with a release, a Dagster version or a machine, and repeats itself."""
    if isinstance(value, dict):
        return {
            key: _stack_summary(inner) if key == "stackTrace" else _without_versions(inner)
            for key, inner in value.items()
            if key not in ("_producer", "producer", "eventTime")
        }
    if isinstance(value, list):
        return [_without_versions(item) for item in value]
    if not isinstance(value, str):
        return value
    if value.startswith(REPOSITORY_URL):
        return value.replace(f"v{__version__}", "v{version}")
    if _STORED.match(value):
        return _STORED.sub("file:///{home}/storage/", value)
    named = {dagster_version: "{dagster}", __version__: "{version}", client_version: "{client}"}
    return named.get(value, value)


def _run(event: Json) -> tuple[str, str]:
    if "dataset" in event:
        return event["dataset"]["name"], ""
    return event["job"]["name"], event["run"]["runId"]


def _stack_summary(stack: str) -> str:
    """Keep where it was raised, without files and lines: how code is shown differs by Python."""
    functions = re.findall(r'File ".*", line \d+, in (.+)', stack)
    return f"{{stack}} in {functions[-1]}" if functions else "{stack}"


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, list[Json]], None]:
    """Compare events with a golden file beside the test, in `golden/`."""

    def compare(name: str, events: list[Json]) -> None:
        for event in events:
            assert event["producer"] == PRODUCER
        path = Path(request.path).parent / "golden" / f"{name}.json"
        # Run by run: which of two runs comes first, and when, is Dagster's affair and has changed.
        by_run = sorted(events, key=_run)
        text = json.dumps(_without_versions(by_run), indent=2, sort_keys=True) + "\n"
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        assert path.exists(), f"no golden file {path}: run pytest --update-golden"
        assert json.loads(text) == json.loads(path.read_text())

    return compare
