"""The check that all tests rely on finds what is wrong."""

import copy
import json
import re
from pathlib import Path

import pytest
from dagster import AssetKey, EventLogEntry, TableColumn, TableSchema
from openlineage.client.event_v2 import RunState

import openlineage_spec
from golden import to_json
from openlineage_dagster_core.conversion.dataset import written_dataset
from openlineage_dagster_core.conversion.envelope import Envelope, Lineage, Source
from openlineage_dagster_core.delivery.size import DROPPED_FACETS_SCHEMA
from openlineage_dagster_core.facets.run import DAGSTER_RUN_SCHEMA
from openlineage_dagster_core.facts.model import AssetFacts, Facts, RunFacts
from openlineage_dagster_core.facts.progress import ProgressLog
from openlineage_dagster_core.families import Family
from openlineage_dagster_core.identity import Identity
from openlineage_dagster_core.settings import Settings
from recorded_run import CREATED_AT, RUN_ID

KEY = AssetKey("orders")


@pytest.fixture
def event() -> openlineage_spec.Json:
    if not openlineage_spec.is_present():
        pytest.skip(f"no official schemas in {openlineage_spec.SPEC_DIR}: set OPENLINEAGE_SPEC_DIR")
    run = RunFacts(RUN_ID, "nightly", CREATED_AT)
    asset = AssetFacts(KEY, columns=TableSchema([TableColumn("id", "int")]))
    facts = Facts(run, ProgressLog().progress, {KEY: asset})
    entry = EventLogEntry(None, "debug", "", run_id=RUN_ID, timestamp=0.0)
    source = Source(entry, facts, Identity(Settings()))
    envelope = Envelope(source, RUN_ID, "orders", Family.ASSET)
    lineage = Lineage(outputs=(written_dataset(source, KEY, None),))
    return to_json([envelope.event(RunState.START, lineage=lineage)])[0]


def test_a_good_event_has_no_faults(event: openlineage_spec.Json) -> None:
    assert openlineage_spec.faults(event) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("eventTime",), "yesterday"),
        (("producer",), "not a uri"),
        (("run", "runId"), "42"),
        (("run", "facets"), {}),
        (("job", "facets"), {}),
        (("job", "facets", "jobType", "integration"), None),
        (("run", "facets", "dagster_run", "runId"), 7),
        (("outputs", 0, "facets", "schema", "fields"), [{"type": "int"}]),
        (("outputs", 0, "facets", "schema", "_schemaURL"), "https://example.org/Schema.json"),
        (("outputs", 0, "namespace"), float("nan")),
    ],
)
def test_a_wrong_event_is_found_out(
    event: openlineage_spec.Json, path: tuple[str | int, ...], value: object
) -> None:
    wrong = copy.deepcopy(event)
    place = wrong
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert openlineage_spec.faults(wrong) != []


@pytest.mark.parametrize(
    ("path", "name", "values"),
    [
        (
            ("eventTime",),
            "date-time",
            ["2024-02-30T10:00:00Z", "2024-02-20 10:00:00", "2024-02-20T10:00:00", "2024-02-20"],
        ),
        (("producer",), "uri", ["", "/relative", "https://example.org/a b", "https://[example"]),
        (("run", "runId"), "uuid", ["", "0" * 32, "0193a5b0-0000-7000-8000-00000000000g"]),
        (("run", "facets", "dagster_run", "_producer"), "uri", ["not a uri"]),
    ],
)
def test_the_fault_of_a_format_says_where_and_which(
    event: openlineage_spec.Json, path: tuple[str, ...], name: str, values: list[str]
) -> None:
    place = event
    for key in path[:-1]:
        place = place[key]
    for value in values:
        place[path[-1]] = value
        found = openlineage_spec.faults(event)
        expected = f'{path[-1]}: "{value}" is not a "{name}"'
        assert any(fault.endswith(expected) for fault in found), found


@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_a_missing_side_is_found_out(event: openlineage_spec.Json, side: str) -> None:
    del event[side]
    assert f"RunEvent: {side} is missing" in openlineage_spec.faults(event)


def test_a_dataset_without_a_source_among_others_is_found_out(
    event: openlineage_spec.Json,
) -> None:
    event["inputs"] = copy.deepcopy(event["outputs"])
    del event["inputs"][0]["facets"]["dataSource"]
    assert openlineage_spec.faults(event) == ["RunEvent: some datasets have no dataSource"]


@pytest.mark.parametrize("address", [DAGSTER_RUN_SCHEMA, DROPPED_FACETS_SCHEMA])
def test_a_schema_of_ours_is_named_by_its_id_in_all_releases(address: str) -> None:
    url, _, pointer = address.partition("#/$defs/")
    [path] = openlineage_spec.OWN_SCHEMAS.rglob(url.rpartition("/")[2])
    schema = json.loads(path.read_text())
    assert schema["$id"] == url
    assert pointer in schema["$defs"]


def test_every_facet_has_the_newest_version_of_its_schema() -> None:
    official = openlineage_spec.SPEC_DIR / "facets"
    if not official.is_dir():
        pytest.skip("no official schemas")
    newest = {
        path.name: json.loads(path.read_text())["$id"].split("/")[-2]
        for path in official.glob("*.json")
    }
    golden = Path(__file__).parent / "conversion" / "golden"
    sent = {
        (name, version)
        for path in golden.glob("*.json")
        for version, name in re.findall(r"/facets/([0-9-]+)/(\w+\.json)", path.read_text())
    }
    assert {name for name, version in sent if version < newest[name]} == set()
