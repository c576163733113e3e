import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openlineage.client.event_v2 import (
    DatasetEvent,
    InputDataset,
    Job,
    JobEvent,
    OutputDataset,
    Run,
    RunEvent,
    RunState,
    StaticDataset,
)
from openlineage.client.generated.documentation_dataset import DocumentationDatasetFacet
from openlineage.client.generated.documentation_job import DocumentationJobFacet
from openlineage.client.generated.job_type_job import JobTypeJobFacet
from openlineage.client.generated.processing_engine_run import ProcessingEngineRunFacet

import every_event_is_valid
from openlineage_dagster_core.delivery.size import NEVER_DROPPED, _choose, within
from openlineage_dagster_core.serialisation import Event, shared, to_json
from openlineage_dagster_core.version import PRODUCER

RUN_ID = "0199a1b2-0000-7000-8000-000000000001"
ENGINE = ProcessingEngineRunFacet("1.0", name="Dagster", producer=PRODUCER)
JOB_TYPE = JobTypeJobFacet("BATCH", "DAGSTER", "RUN", producer=PRODUCER)
TIME = "2026-01-05T03:00:00+00:00"
PLACES = ("facets", "inputFacets", "outputFacets")


def words(length: int) -> DocumentationDatasetFacet:
    return DocumentationDatasetFacet("w" * length, producer=PRODUCER)


def run_event(**parts: Any) -> RunEvent:
    return RunEvent(
        eventType=RunState.START,
        eventTime=TIME,
        run=Run(RUN_ID, {"processing_engine": ENGINE}),
        job=Job("dagster", "nightly", {"jobType": JOB_TYPE}),
        producer=PRODUCER,
        **parts,
    )


def cut(event: Event, limit: int) -> tuple[dict[str, Any], tuple[str, ...]]:
    before = copy.deepcopy(event)
    smaller, text, dropped = within(event, to_json(event), limit)
    assert event == before, "the event stays as it is"
    assert text == to_json(smaller)
    return json.loads(text), dropped


def named(event: dict[str, Any]) -> list[str]:
    return event["run"]["facets"]["dagster_dropped_facets"]["facets"]


def facets_of(event: dict[str, Any]) -> dict[str, tuple[str, Any]]:
    holders = [(name, event.get(name)) for name in ("run", "job", "dataset")] + [
        (f"{side}[{index}]", dataset)
        for side in ("inputs", "outputs")
        for index, dataset in enumerate(event.get(side) or ())
    ]
    return {
        f"{name}.{place}.{key}": (key, facet)
        for name, holder in holders
        for place in PLACES
        for key, facet in ((holder or {}).get(place) or {}).items()
    }


def test_an_event_that_fits_stays_the_same_object() -> None:
    event = run_event()
    text = to_json(event)
    assert within(event, text, len(text)) == (event, text, ())
    assert within(event, text, len(text))[0] is event


def test_the_heaviest_facet_goes_first_and_the_event_says_so() -> None:
    event = run_event(
        inputs=[InputDataset("n", "i", facets={"documentation": shared(words(4000))})],
        outputs=[OutputDataset("n", "o", facets={"documentation": words(9000)})],
    )
    smaller, dropped = cut(event, 6000)
    assert dropped == ("outputs[0].facets.documentation",)
    assert named(smaller) == ["outputs[0].facets.documentation"]
    assert smaller["outputs"] == [{"namespace": "n", "name": "o", "facets": {}, "outputFacets": {}}]
    assert smaller["inputs"][0]["facets"]["documentation"]["description"] == "w" * 4000
    every_event_is_valid.check(smaller)


def test_as_many_facets_go_as_must() -> None:
    lengths = [1000, 3000, 2000, 3000]
    event = run_event(
        outputs=[
            OutputDataset("n", str(length), facets={"documentation": words(length)})
            for length in lengths
        ]
    )
    smaller, dropped = cut(event, 5500)
    assert dropped == ("outputs[1].facets.documentation", "outputs[3].facets.documentation")
    assert len(json.dumps(smaller, separators=(",", ":"))) <= 5500


def test_facets_go_from_every_place() -> None:
    event = run_event(
        inputs=[InputDataset("n", "i", facets={"a": words(800)}, inputFacets={"b": words(700)})],
        outputs=[OutputDataset("n", "o", facets={"c": words(600)}, outputFacets={"d": words(900)})],
    )
    event.run.facets["e"] = words(500)
    event.job.facets["f"] = DocumentationJobFacet("w" * 400, producer=PRODUCER)
    smaller, dropped = cut(event, 0)
    assert dropped == (
        "outputs[0].outputFacets.d",
        "inputs[0].facets.a",
        "inputs[0].inputFacets.b",
        "outputs[0].facets.c",
        "run.facets.e",
        "job.facets.f",
    )
    assert set(facets_of(smaller)) == {
        "run.facets.processing_engine",
        "run.facets.dagster_dropped_facets",
        "job.facets.jobType",
    }


@pytest.mark.parametrize("key", sorted(NEVER_DROPPED))
def test_what_backends_tell_runs_apart_by_stays(key: str) -> None:
    event = run_event()
    event.run.facets[key] = words(5000)
    text = to_json(event)
    assert within(event, text, 1000) == (event, text, ())


def test_a_dataset_event_and_a_job_event_lose_facets_too() -> None:
    facets = {"documentation": words(2000), "other": words(100)}
    dataset = StaticDataset("n", "d", facets=facets)
    smaller, dropped = cut(DatasetEvent(eventTime=TIME, dataset=dataset), 1000)
    assert dropped == ("dataset.facets.documentation",)
    assert smaller["dataset"]["facets"].keys() == {"other"}
    job_event = JobEvent(
        eventTime=TIME, job=Job("n", "j"), outputs=[OutputDataset("n", "o", facets=facets)]
    )
    smaller, dropped = cut(job_event, 1000)
    assert dropped == ("outputs[0].facets.documentation",)
    assert smaller["outputs"][0]["facets"].keys() == {"other"}


def test_what_was_dropped_before_stays_named() -> None:
    outputs = [
        OutputDataset("n", str(length), facets={"documentation": words(length)})
        for length in (3000, 2000)
    ]
    event = run_event(outputs=outputs)
    once, _, first = within(event, to_json(event), 4000)
    smaller, second = cut(once, 2000)
    assert named(smaller) == [*first, *second]
    assert len(second) == 1


def test_an_event_without_run_facets_names_what_was_dropped() -> None:
    event = run_event(outputs=[OutputDataset("n", "o", facets={"documentation": words(3000)})])
    event.run.facets = None
    size = len(to_json(cut_event(event)))
    assert named(cut(event, size)[0]) == ["outputs[0].facets.documentation"]


def cut_event(event: Event) -> Event:
    return within(event, to_json(event), 0)[0]


def test_an_event_that_would_only_grow_stays_as_it_is() -> None:
    event = run_event(outputs=[OutputDataset("n", "o", facets={"small": {"a": 1}})])
    text = to_json(event)
    assert within(event, text, len(text) - 1) == (event, text, ())


def test_ten_thousand_facets_are_cut_in_one_go() -> None:
    facets = {f"facet {index}": {"text": "w" * (index % 977)} for index in range(10_000)}
    event = run_event(outputs=[OutputDataset("n", "o", facets=facets)])
    smaller, dropped = cut(event, 1_000_000)
    size = len(json.dumps(smaller, separators=(",", ":")))
    assert 990_000 < size <= 1_000_000
    assert named(smaller) == list(dropped)


keys = st.text(max_size=6) | st.sampled_from(["jobType", "parent", "schema", "\ud800"])
mappings = st.none() | st.dictionaries(
    keys,
    st.none()
    | st.integers(0, 400).map(words)
    | st.integers(0, 400).map(words).map(shared)
    | st.dictionaries(st.text(max_size=3), st.text(max_size=60), max_size=3),
    max_size=4,
)


@st.composite
def events(draw: st.DrawFn) -> Event:
    datasets: dict[str, Any] = {
        "inputs": [
            InputDataset("n", "i", facets=draw(mappings), inputFacets=draw(mappings))
            for _ in range(draw(st.integers(0, 2)))
        ],
        "outputs": [
            OutputDataset("n", "o", facets=draw(mappings), outputFacets=draw(mappings))
            for _ in range(draw(st.integers(0, 2)))
        ],
    }
    kind = draw(st.sampled_from(["run", "job", "dataset"]))
    if kind == "dataset":
        dataset = StaticDataset("n", "d", facets=draw(mappings))
        return DatasetEvent(eventTime=TIME, dataset=dataset)
    job = Job("n", "j", draw(mappings))
    if kind == "job":
        return JobEvent(eventTime=TIME, job=job, **datasets)
    return RunEvent(eventTime=TIME, run=Run(RUN_ID, draw(mappings)), job=job, **datasets)


@given(event=events(), limit=st.integers(0, 3000))
def test_an_event_fits_or_nothing_is_left_to_drop(event: Event, limit: int) -> None:
    text = to_json(event)
    smaller, dropped = cut(event, limit)
    size = len(json.dumps(smaller, separators=(",", ":")))
    before, after = facets_of(json.loads(text)), facets_of(smaller)
    assert size <= max(len(text), limit)
    if size > limit and dropped:
        for name, (key, facet) in after.items():
            weight = len(json.dumps({key: facet}, separators=(",", ":"))) - len("{}")
            takes_more_to_name = isinstance(event, RunEvent) and weight <= len(json.dumps(name))
            assert key in NEVER_DROPPED or takes_more_to_name
    if size > limit and not dropped and not isinstance(event, RunEvent):
        assert all(key in NEVER_DROPPED for key, _ in after.values())
    # Nothing goes but what is said to go, and nothing goes in vain.
    gone = before.keys() - after.keys()
    assert gone == set(dropped)
    assert after.keys() - before.keys() <= {"run.facets.dagster_dropped_facets"}
    assert all(after[name] == before[name] for name in after.keys() & before.keys())
    if dropped and isinstance(event, RunEvent):
        assert named(smaller) == list(dropped)
    if dropped:
        # Foretold wrongly, too much or too little would go.
        assert _choose(event, len(text), limit)[1] == size
    assert cut(event, limit) == (smaller, dropped)
