"""What OpenLineage events share with others, and so keep the order with."""

from typing import Any

from openlineage.client import event_v2
from openlineage.client.event_v2 import DatasetEvent, InputDataset, OutputDataset, RunState
from openlineage.client.facet_v2 import documentation_dataset, parent_run

from openlineage_dagster_core.delivery.dependencies import dependencies_of
from openlineage_dagster_core.delivery.lanes import Dependency

RUN, PARENT = "01890000-0000-7000-8000-000000000001", "01890000-0000-7000-8000-000000000002"
TIME = "2026-01-05T03:00:00.000000+00:00"


def run_event(
    state: RunState, *, inputs: Any = (), outputs: Any = (), parent: str | None = None
) -> event_v2.RunEvent:
    facets = {}
    if parent is not None:
        facets["parent"] = parent_run.ParentRunFacet(
            parent_run.Run(parent), parent_run.Job("ns", "above")
        )
    return event_v2.RunEvent(
        eventTime=TIME,
        producer="https://example.com",
        eventType=state,
        run=event_v2.Run(RUN, facets=facets),
        job=event_v2.Job("ns", "job"),
        inputs=list(inputs),
        outputs=list(outputs),
    )


def keys(event: Any) -> dict[Any, Any]:
    found = dependencies_of(event)
    assert len({each.key for each in found}) == len(found), "each key once"
    return {each.key: each.version for each in found}


def described(text: str) -> InputDataset:
    return InputDataset(
        "ns",
        "read",
        facets={"documentation": documentation_dataset.DocumentationDatasetFacet(text)},
    )


def test_an_event_shares_its_job_and_the_datasets_it_writes() -> None:
    event = run_event(RunState.COMPLETE, outputs=[OutputDataset("ns", "written")])
    assert keys(event) == {("job", "ns", "job"): None, ("dataset", "ns", "written"): None}


def test_a_start_is_what_the_events_of_children_wait_for() -> None:
    start = run_event(RunState.START)
    assert keys(start)["run", RUN] is None
    assert ("run", RUN) not in keys(run_event(RunState.COMPLETE))
    children = [run_event(state, parent=PARENT) for state in (RunState.START, RunState.COMPLETE)]
    versions = [keys(each)["run", PARENT] for each in children]
    assert versions[0] is not None
    assert versions[0] == versions[1], "they do not wait for each other"


def test_events_that_say_the_same_of_what_they_read_need_not_wait_for_each_other() -> None:
    first, same, other = (
        keys(run_event(RunState.COMPLETE, inputs=[described(text)])) for text in ("a", "a", "b")
    )
    read = ("dataset", "ns", "read")
    assert first[read] is not None
    assert first[read] == same[read]
    assert first[read] != other[read]


def test_a_dataset_that_is_read_and_written_is_written() -> None:
    event = run_event(
        RunState.COMPLETE, inputs=[InputDataset("ns", "x")], outputs=[OutputDataset("ns", "x")]
    )
    assert keys(event)["dataset", "ns", "x"] is None


def test_an_event_of_a_dataset_shares_the_dataset() -> None:
    event = DatasetEvent(
        eventTime=TIME,
        producer="https://example.com",
        dataset=event_v2.StaticDataset("ns", "observed"),
    )
    assert dependencies_of(event) == [Dependency(("dataset", "ns", "observed"))]


def test_a_facet_that_cannot_be_written_stands_alone() -> None:
    def odd() -> InputDataset:
        return InputDataset("ns", "read", facets={"odd": {"set": object()}})

    first, second = (keys(run_event(RunState.COMPLETE, inputs=[odd()])) for _ in range(2))
    read = ("dataset", "ns", "read")
    assert first[read] is not None
    assert second[read] is not None
