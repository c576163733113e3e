"""What the presets of `backend` do to events, and the page that says what each backend shows."""

import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from openlineage.client.event_v2 import DatasetEvent, StaticDataset
from openlineage.client.transport.amazon_datazone import AmazonDataZoneTransport
from openlineage.client.transport.gcplineage import GCPLineageTransport

from openlineage_dagster_core.backends import DROPPING_TRANSPORTS, PRESETS, Backend
from openlineage_dagster_core.settings import Settings
from openlineage_dagster_core.version import PRODUCER
from recorded_run import converted

ROOT = Path(__file__).parents[3]
MATRIX = ROOT / "docs" / "backends" / "README.md"
NOT_TESTED = "not tested"
REFERENCE = re.compile(r"\[([A-Z]+\d+)\]")


@dg.observable_source_asset
def prices() -> dg.DataVersion:
    return dg.DataVersion("1")


DEFINITIONS = dg.Definitions(
    assets=[prices], jobs=[dg.define_asset_job("watch", selection=["prices"])]
)


@pytest.mark.parametrize("backend", Backend)
def test_only_marquez_and_atlas_get_dataset_events_by_their_presets(backend: Backend) -> None:
    settings = Settings.from_options({"backend": backend.value}, {})
    events = converted(DEFINITIONS, "watch", settings=settings)
    takes_them = backend in (Backend.MARQUEZ, Backend.ATLAS)
    assert any("dataset" in event for event in events) is takes_them


@pytest.mark.parametrize("transport", [AmazonDataZoneTransport, GCPLineageTransport])
def test_a_transport_drops_a_dataset_event_without_an_error(transport: Any) -> None:
    assert transport.kind in DROPPING_TRANSPORTS
    event = DatasetEvent(
        eventTime="2026-01-05T03:00:00Z", dataset=StaticDataset("n", "a"), producer=PRODUCER
    )
    # It has no client, so that an attempt to send would raise.
    assert transport.__new__(transport).emit(event) is None


@pytest.fixture
def matrix() -> str:
    if not MATRIX.is_file():
        pytest.skip("the documentation is not here")
    return MATRIX.read_text(encoding="utf-8")


def rows(page: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading, without its head."""
    _, _, rest = page.partition(f"{heading}\n")
    [table] = re.findall(r"(?:^\|.*\n)+", rest, flags=re.MULTILINE)[:1]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()[2:]]


def test_every_cell_of_the_matrix_names_a_test_or_says_that_it_is_not_tested(matrix: str) -> None:
    tests = dict(rows(matrix, "## Tests"))
    named = set()
    for backend, *cells in rows(matrix, "## What each backend shows"):
        for cell in cells:
            references = REFERENCE.findall(cell)
            assert references or NOT_TESTED in cell, (backend, cell)
            named.update(references)
    assert named == tests.keys()
    for test in tests.values():
        path, _, name = test.strip("`").partition("::")
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), test


def test_the_page_lists_what_each_preset_sets(matrix: str) -> None:
    listed = {name.strip("`"): options for name, options in rows(matrix, "## Presets")}
    assert listed.keys() == {each.value for each in Backend}
    for backend, preset in PRESETS.items():
        assert re.findall(r"`(\w+):", listed[backend.value]) == list(preset)
