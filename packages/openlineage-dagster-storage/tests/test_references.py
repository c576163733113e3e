"""References: what the outbox holds of stored events."""

import dagster as dg
from dagster._core.events import DagsterEvent
from hypothesis import given
from hypothesis import strategies as st

from openlineage_dagster_storage.references import (
    Reference,
    id_of,
    is_converted,
    references_to,
)


def entry(
    kind: str = "STEP_START", at: float = 1.5, run_id: str = "run-1", message: str = "began"
) -> dg.EventLogEntry:
    event = DagsterEvent(event_type_value=kind, job_name="j", step_key="s", message=message)
    return dg.EventLogEntry(None, 20, "", run_id, at, step_key="s", dagster_event=event)


@given(
    at=st.floats(min_value=0, max_value=4e9),
    message=st.text(st.characters(exclude_categories=[])),
    kind=st.sampled_from(["STEP_START", "PIPELINE_SUCCESS"]),
)
def test_a_reference_reads_back_as_it_was_written(at: float, message: str, kind: str) -> None:
    [(key, payload)] = references_to([entry(kind, at, message=message)])
    assert key == "run-1"
    assert Reference.decode(payload) == Reference((id_of(entry(kind, at, message=message)),))


@given(since=st.floats(min_value=0, max_value=4e9))
def test_a_reference_to_all_since_a_time_reads_back(since: float) -> None:
    assert Reference.decode(Reference(since=since).encode()) == Reference(since=since)


def test_an_event_that_was_stored_has_the_id_it_had_before() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        before = entry(at=1767225600.123456)
        instance.event_log_storage.store_event(before)
        [record] = instance.get_records_for_run("run-1").records
    assert id_of(record.event_log_entry) == id_of(before)


def test_events_of_one_time_and_type_are_told_apart_by_what_they_say() -> None:
    assert id_of(entry(message="a")) != id_of(entry(message="b"))


def test_a_reference_does_not_tell_what_the_event_says() -> None:
    [(_, payload)] = references_to([entry(message="a-secret")])
    assert "a-secret" not in payload


def test_a_batch_is_one_record_a_run() -> None:
    records = references_to([entry(run_id=run) for run in ("a", "b", "a")])
    assert [(key, len(Reference.decode(payload).ids)) for key, payload in records] == [
        ("a", 2),
        ("b", 1),
    ]


def test_log_lines_and_types_of_a_later_dagster_are_not_converted() -> None:
    assert not is_converted(dg.EventLogEntry(None, 20, "hello", "run-1", 1.0))
    assert not is_converted(
        entry()._replace(
            dagster_event=entry().get_dagster_event()._replace(event_type_value="SOMETHING_NEW")
        )
    )
