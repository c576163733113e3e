import copy
import json
import re
import time
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
from openlineage_dagster_core.delivery.size import NEVER_DROPPED, _groups, _without, within
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
    return event["run"]["facets"]["dagster_droppedFacets"]["facets"]


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


def members(before: dict[str, tuple[str, Any]], group: str) -> set[str]:
    """The facets of an event that a group's name is about."""
    pattern = re.escape(group).replace(re.escape("[*]"), r"\[\d+\]", 1)
    return {name for name in before if re.fullmatch(pattern, name, re.DOTALL)}


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


def with_facets(*lengths: int, side: str = "outputs") -> RunEvent:
    """An event of one dataset whose facets are named after their lengths."""
    facets = {f"f{length}": words(length) for length in lengths}
    kind = OutputDataset if side == "outputs" else InputDataset
    return run_event(**{side: [kind("n", "o", facets=facets)]})


@pytest.mark.parametrize(
    ("lengths", "excess", "lost"),
    [
        # The smallest that suffices alone, not the heaviest.
        ((9000, 2000, 5000), 1500, [2000]),
        ((9000, 2000, 5000), 4000, [5000]),
        # Two together, where none suffices alone: the lightest two.
        ((9000, 7000, 4000, 1000), 10_500, [7000, 4000]),
        ((9000, 7000, 4000, 1000), 9500, [9000, 1000]),
        # Few heavy ones rather than many light ones.
        ((9000, *range(1000, 1010)), 8500, [9000]),
        ((9000, 7000, 4000, 1000), 19_000, [9000, 7000, 4000]),
    ],
)
def test_as_few_facets_go_as_suffice_and_light_ones_of_those(
    lengths: tuple[int, ...], excess: int, lost: list[int]
) -> None:
    event = with_facets(*lengths)
    limit = len(to_json(event)) - excess
    smaller, dropped = cut(event, limit)
    assert dropped == tuple(f"outputs[0].facets.f{length}" for length in lost)
    assert len(json.dumps(smaller, separators=(",", ":"))) <= limit


@pytest.mark.parametrize(("side", "kind"), [("inputs", InputDataset), ("outputs", OutputDataset)])
def test_all_inputs_or_all_outputs_lose_a_facet_alike(side: str, kind: type[Any]) -> None:
    datasets = [
        kind("n", str(index), facets={"mine": words(900 + index), "other": words(100)})
        for index in range(800)
    ]
    event = run_event(**{side: datasets})
    smaller, dropped = cut(event, len(to_json(event)) // 2)
    assert dropped == (f"{side}[*].facets.mine",)
    assert named(smaller) == [f"{side}[*].facets.mine"]
    assert all(dataset["facets"].keys() == {"other"} for dataset in smaller[side])
    every_event_is_valid.check({**smaller, side: []})


def test_inputs_lose_what_outputs_keep() -> None:
    event = run_event(
        inputs=[InputDataset("n", str(index), facets={"schema": words(500)}) for index in range(9)],
        outputs=[OutputDataset("n", "o", facets={"schema": words(500)})],
    )
    smaller, dropped = cut(event, 4000)
    assert dropped == ("inputs[*].facets.schema",)
    assert smaller["outputs"][0]["facets"].keys() == {"schema"}


def test_one_of_several_datasets_is_named_by_its_position() -> None:
    datasets = [InputDataset("n", str(index), facets={"tags": words(100)}) for index in range(3)]
    datasets[1].facets["schema"] = words(5000)
    assert cut(run_event(inputs=datasets), 4000)[1] == ("inputs[1].facets.schema",)


def test_a_wide_event_is_cut_quickly() -> None:
    facets = {f"facet{index}": shared(words(300 + index)) for index in range(5)}
    datasets = [InputDataset("n", str(index), facets=dict(facets)) for index in range(800)]
    event = run_event(inputs=datasets)
    text = to_json(event)
    took = []
    for _ in range(5):
        began = time.process_time()
        dropped = within(event, text, len(text) * 7 // 10)[2]
        took.append(time.process_time() - began)
    assert dropped == ("inputs[*].facets.facet1", "inputs[*].facets.facet0")
    assert min(took) < 0.1


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
        "run.facets.dagster_droppedFacets",
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
    event = with_facets(3000, 2000)
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
        kept: dict[str, int] = {}
        for name, (key, facet) in after.items():
            if key not in NEVER_DROPPED:
                group = re.sub(r"\[\d+\]", "[*]", name, count=1)
                weight = len(json.dumps({key: facet}, separators=(",", ":"))) - len("{}")
                kept[group] = kept.get(group, 0) + weight
        for group, weight in kept.items():
            # To name them takes more than they take themselves.
            assert isinstance(event, RunEvent)
            assert weight <= len(json.dumps(group)) + len(",")
    if size > limit and not dropped and not isinstance(event, RunEvent):
        assert all(key in NEVER_DROPPED for key, _ in after.values())
    # Nothing goes but what is said to go, and nothing goes in vain.
    gone = before.keys() - after.keys()
    assert gone == {name for group in dropped for name in members(before, group)}
    assert after.keys() - before.keys() <= {"run.facets.dagster_droppedFacets"}
    assert all(after[name] == before[name] for name in after.keys() & before.keys())
    if dropped and isinstance(event, RunEvent):
        assert named(smaller) == list(dropped)
    if size <= limit:
        chosen = [group for group in _groups(event) if group.name in dropped]
        for needed in chosen:
            others = [other for other in chosen if other is not needed]
            # The choice may be wrong by a comma in each mapping.
            assert not others or len(to_json(_without(event, others))) > limit - len(PLACES) * 6
    assert cut(event, limit) == (smaller, dropped)
