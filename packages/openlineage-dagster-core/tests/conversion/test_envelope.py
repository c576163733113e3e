import attr
from hypothesis import given
from hypothesis import strategies as st
from openlineage.client.event_v2 import (
    InputDataset,
    Job,
    OutputDataset,
    Run,
    RunEvent,
    RunState,
)

from openlineage_dagster_core.conversion.envelope import event_time, made_event, made_run
from openlineage_dagster_core.facets.run import processing_engine_facet
from openlineage_dagster_core.version import PRODUCER
from recorded_run import RUN_ID


@given(st.sampled_from(RunState), st.floats(0, 4e9))
def test_an_event_is_what_the_clients_own_class_makes(state: RunState, timestamp: float) -> None:
    facets = {"processing_engine": processing_engine_facet()}
    job, inputs, outputs = Job("n", "a"), [InputDataset("n", "b")], [OutputDataset("n", "c")]
    theirs = RunEvent(
        eventType=state,
        eventTime=event_time(timestamp),
        run=Run(runId=RUN_ID, facets=facets),
        job=job,
        inputs=inputs,
        outputs=outputs,
        producer=PRODUCER,
    )
    ours = made_event(state, event_time(timestamp), made_run(RUN_ID, facets), job, inputs, outputs)
    assert ours == theirs
    assert attr.asdict(ours) == attr.asdict(theirs)


def test_events_share_nothing_that_one_could_change_for_another() -> None:
    first, second = (
        made_event(RunState.START, event_time(0), made_run(RUN_ID, {}), Job("n", "a"), [], [])
        for _ in range(2)
    )
    first.run.facets["own"] = processing_engine_facet()
    first.inputs.append(InputDataset("n", "b"))
    assert second.run.facets == {}
    assert second.inputs == []
