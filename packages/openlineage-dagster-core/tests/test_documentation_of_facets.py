"""The documentation of the facets is complete: compared with every event of the golden files."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "conversion" / "golden"
PAGE = Path(__file__).parents[3] / "docs" / "facets.md"

IN_DELIVERY = {("run", "dagster_droppedFacets", "facets")}
"""What is not conversion's, and has tests of its own."""

NEEDS_A_REMOTE_RUN = {
    ("run", "dagster_run", "codeLocation"),
    ("run", "dagster_run", "repository"),
}
"""A run that is launched in process has none of it; the integration tests have."""

Field = tuple[str, str, str]

HOLDERS = {
    "run": "run",
    "job": "job",
    "inputs": "dataset",
    "outputs": "dataset",
    "dataset": "dataset",
}
OWN = {"inputs": ("inputFacets", "input"), "outputs": ("outputFacets", "output")}


def emitted() -> set[Field]:
    return {
        field for path in GOLDEN.glob("*.json") for field in _fields(json.loads(path.read_text()))
    }


def _fields(events: list[dict]) -> Iterator[Field]:
    for event in events:
        for key, place in HOLDERS.items():
            value = event.get(key, [])
            for holder in value if isinstance(value, list) else [value]:
                yield from _named(place, holder.get("facets", {}))
                if key in OWN:
                    facets, own_place = OWN[key]
                    yield from _named(own_place, holder.get(facets, {}))


def _named(place: str, facets: dict) -> Iterator[Field]:
    for name, facet in facets.items():
        for field in facet:
            if not field.startswith("_"):
                yield place, name, field


def documented() -> Iterator[Field]:
    heading = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            heading = line
        cells = [cell.strip() for cell in line.split(" | ")]
        if not line.startswith("| `") or "Facets" not in heading:
            continue
        name = re.findall(r"`([^`]+)`", cells[0])[0]
        fields = cells[1] if "datasets" in heading else cells[2]
        for place in _places(heading, cells[1]):
            for field in re.findall(r"`([^`]+)`", fields):
                yield place, name, field


def _places(heading: str, on: str) -> list[str]:
    if "inputs and outputs" in heading:
        return ["output" if on.startswith("outputs") else "input"]
    return [heading.removeprefix("## Facets of ").removesuffix("s")]


@pytest.fixture(scope="module")
def page() -> set[Field]:
    if not PAGE.is_file():
        pytest.skip("the documentation is not here")
    return set(documented())


def test_every_field_that_is_sent_is_documented(page: set[Field]) -> None:
    assert emitted() - page == set()


def test_every_field_that_is_documented_is_sent(page: set[Field]) -> None:
    assert page - emitted() == IN_DELIVERY | NEEDS_A_REMOTE_RUN
