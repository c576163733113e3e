"""Whatever users call their assets, partitions, tags and namespaces: the events are valid."""

from typing import Any

import dagster as dg
from dagster._core.events import DagsterEvent, StepMaterializationData
from hypothesis import given
from hypothesis import strategies as st

from openlineage_dagster_core.facts.model import AssetFacts, Facts, RunFacts
from openlineage_dagster_core.facts.progress import ProgressLog
from openlineage_dagster_core.settings import Settings
from recorded_run import CREATED_AT, RUN_ID, check_runs, converted_log

Json = dict[str, Any]

characters = st.characters(exclude_categories=[])
"""Halves of characters, control characters and line ends included."""

short = st.text(characters, min_size=1)
long = st.tuples(st.text(characters, min_size=1, max_size=5), st.integers(200, 10_000)).map(
    lambda pair: (pair[0] * pair[1])[:10_000]
)
texts = short | long
keys = st.lists(texts, min_size=1, max_size=3).map(dg.AssetKey)


def events(
    key: dg.AssetKey, partition: str | None, tags: dict[str, str], template: str, group: str
) -> list[Json]:
    materialization = dg.AssetMaterialization(key, partition=partition)
    event = DagsterEvent(
        "ASSET_MATERIALIZATION",
        job_name="nightly",
        step_key="step",
        event_specific_data=StepMaterializationData(materialization),
    )
    entry = dg.EventLogEntry(
        None,
        "debug",
        "",
        run_id=RUN_ID,
        timestamp=CREATED_AT.timestamp(),
        step_key="step",
        job_name="nightly",
        dagster_event=event,
    )
    upstream = dg.AssetKey([*key.path, "upstream"])
    facts = Facts(
        RunFacts(RUN_ID, "nightly", CREATED_AT, tags=tags),
        ProgressLog().progress,
        {key: AssetFacts(key, (upstream,), group=group, description=group, tags=tags)},
    )
    settings = Settings.from_options({"namespace_template": template}, {})
    return converted_log([entry], facts, settings)


@given(keys, st.none() | texts, st.dictionaries(texts, texts, max_size=3), texts, texts)
def test_any_names_give_valid_events_and_the_same_again(
    key: dg.AssetKey, partition: str | None, tags: dict[str, str], tenant: str, group: str
) -> None:
    template = "{namespace}/{tag:tenant}/{group}"
    found = events(key, partition, {**tags, "tenant": tenant}, template, group)
    check_runs(found)
    assert found == events(key, partition, {**tags, "tenant": tenant}, template, group)
    for event in found:
        for dataset in (*event["inputs"], *event["outputs"]):
            assert 0 < len(dataset["name"]) <= 255
            assert 0 < len(dataset["namespace"]) <= 255
        assert 0 < len(event["job"]["name"]) <= 255
        str(event).encode()
