"""A backend that fails in every way: runs do not notice, and it gets everything afterwards."""

import itertools
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from dagster_home import DagsterHome, wait_until
from delivered import check_delivered, expected_events, first_arrivals, run_id_of, summary
from openlineage_dagster_core.delivery.outbox import Outbox, read_status
from orders_project import DEFINITIONS
from receiver import Json, Receiver
from recorded_run import execute

JOBS = {"nightly": True, "doomed": False, "tenant": True}
"""The jobs of the project, and whether they succeed."""

TIMEOUT_SECONDS = 1.0

REFUSED_JOB = "revenue"


@pytest.fixture
def home(tmp_path: Path, receiver: Receiver) -> DagsterHome:
    return DagsterHome(tmp_path / "home", receiver.url, options={"timeout": TIMEOUT_SECONDS})


def run_all_jobs(instance: dg.DagsterInstance) -> None:
    for job, succeeds in JOBS.items():
        assert execute(DEFINITIONS, job, instance).success == succeeds, job


def stored_types(instance: dg.DagsterInstance) -> dict[str, list[str]]:
    """List what the log holds of each job's run."""
    return {
        run.job_name: [
            record.event_log_entry.get_dagster_event().event_type_value
            for record in instance.get_records_for_run(run.run_id).records
            if record.event_log_entry.dagster_event
        ]
        for run in instance.get_runs()
    }


@pytest.fixture(scope="module")
def types_without_us() -> dict[str, list[str]]:
    with dg.DagsterInstance.ephemeral() as bare:
        run_all_jobs(bare)
        return stored_types(bare)


def sent_everything(home: DagsterHome) -> bool:
    return not read_status(home.outbox).depth


def no_shipper() -> bool:
    return "openlineage-shipper" not in {thread.name for thread in threading.enumerate()}


def answers(status: int) -> Callable[[Receiver], None]:
    def fail(receiver: Receiver) -> None:
        receiver.answer = lambda _: status

    return fail


def hangs(receiver: Receiver) -> None:
    receiver.released.clear()


def takes_events_and_does_not_say_so(receiver: Receiver) -> None:
    def lose_the_answer(event: Json) -> int:
        receiver.events.append(event)
        return 503

    receiver.answer = lose_the_answer


def recover(receiver: Receiver) -> None:
    receiver.answer = lambda _: 201
    receiver.released.set()


FAILURES = pytest.mark.parametrize(
    "fail",
    [
        pytest.param(answers(500), id="500"),
        pytest.param(answers(503), id="503"),
        pytest.param(answers(429), id="429"),
        pytest.param(answers(401), id="401"),
        pytest.param(hangs, id="hangs"),
        pytest.param(takes_events_and_does_not_say_so, id="loses_its_answer"),
    ],
)


@FAILURES
def test_what_a_backend_did_not_take_during_the_runs_the_next_process_delivers_in_order(
    home: DagsterHome,
    receiver: Receiver,
    types_without_us: dict[str, list[str]],
    fail: Callable[[Receiver], None],
) -> None:
    fail(receiver)
    with home.instance() as instance:
        run_all_jobs(instance)
        assert stored_types(instance) == types_without_us
    # A request may be under way when `dispose` returns; it ends with its timeout.
    wait_until(no_shipper, TIMEOUT_SECONDS + 10, "the thread to end")
    assert read_status(home.outbox).depth > 0
    recover(receiver)
    with home.instance() as instance:
        wait_until(lambda: sent_everything(home), 60, "the outbox to be empty")
        assert check_delivered(instance, receiver.events, DEFINITIONS) == len(
            all_expected(instance)
        )
    status = read_status(home.outbox)
    assert (status.parked, status.gaps) == (0, ())


@FAILURES
def test_what_a_backend_did_not_take_during_the_runs_the_same_process_delivers_in_order(
    home: DagsterHome,
    receiver: Receiver,
    types_without_us: dict[str, list[str]],
    fail: Callable[[Receiver], None],
) -> None:
    fail(receiver)
    with home.instance() as instance:
        run_all_jobs(instance)
        assert stored_types(instance) == types_without_us
        recover(receiver)
        wait_until(lambda: sent_everything(home), 60, "the outbox to be empty")
        assert check_delivered(instance, receiver.events, DEFINITIONS) == len(
            all_expected(instance)
        )
    assert read_status(home.outbox).parked == 0
    wait_until(no_shipper, TIMEOUT_SECONDS + 10, "the thread to end")


def test_what_waited_for_a_backend_that_was_not_there_is_delivered_in_order(
    tmp_path: Path,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    types_without_us: dict[str, list[str]],
) -> None:
    home = DagsterHome(tmp_path / "home", receiver.url)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        # Bound and not listening: nobody else gets the port, and connections are refused.
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}"
        monkeypatch.setenv("OPENLINEAGE_URL", dead)
        with home.instance() as instance:
            run_all_jobs(instance)
            assert stored_types(instance) == types_without_us
    assert receiver.requests == 0
    monkeypatch.setenv("OPENLINEAGE_URL", receiver.url)
    with home.instance() as instance:
        wait_until(lambda: sent_everything(home), 60, "the outbox to be empty")
        assert check_delivered(instance, receiver.events, DEFINITIONS) > 0
    assert read_status(home.outbox).parked == 0


def test_once_the_next_process_has_delivered_everything_the_outbox_tells_of_no_error(
    home: DagsterHome, receiver: Receiver
) -> None:
    receiver.answer = lambda _: 503
    with home.instance() as instance:
        execute(DEFINITIONS, "tenant", instance)
        wait_until(lambda: read_status(home.outbox).last_error is not None, 60, "the error")
    wait_until(no_shipper, TIMEOUT_SECONDS + 10, "the thread to end")
    recover(receiver)
    with home.instance():
        wait_until(lambda: sent_everything(home), 60, "the outbox to be empty")
    assert read_status(home.outbox).last_error is None


def test_a_flapping_backend_gets_everything_in_order(
    home: DagsterHome, receiver: Receiver, types_without_us: dict[str, list[str]]
) -> None:
    pattern = itertools.cycle([201, 503, 201, 201, 429, 500, 201, 201, 201])

    def flap(event: Json) -> int:
        status = next(pattern)
        if status == 500:
            # Taken, and the answer is lost.
            receiver.events.append(event)
        return status

    receiver.answer = flap
    with home.instance() as instance:
        run_all_jobs(instance)
        assert stored_types(instance) == types_without_us
        wait_until(lambda: sent_everything(home), 120, "the outbox to be empty")
        assert check_delivered(instance, receiver.events, DEFINITIONS) == len(
            all_expected(instance)
        )
    assert receiver.requests > len(receiver.events)
    assert read_status(home.outbox).parked == 0


@pytest.mark.parametrize("status", [400, 413, 422])
def test_refused_events_are_parked_with_the_answer_and_all_others_are_delivered(
    home: DagsterHome,
    receiver: Receiver,
    types_without_us: dict[str, list[str]],
    status: int,
) -> None:
    def is_refused(event: Json) -> bool:
        return bool(event["job"]["name"] == REFUSED_JOB)

    receiver.answer = lambda event: status if is_refused(event) else 201
    receiver.body = "the backend does not want revenue"
    with home.instance() as instance:
        run_all_jobs(instance)
        assert stored_types(instance) == types_without_us
        wait_until(lambda: sent_everything(home), 60, "the outbox to be empty")
        [nightly] = [run.run_id for run in instance.get_runs() if run.job_name == "nightly"]
        for run in instance.get_runs():
            wanted = [
                event
                for event in expected_events(instance, run.run_id, DEFINITIONS)
                if not is_refused(event)
            ]
            assert first_arrivals(receiver.events, run.run_id) == wanted, run.job_name
    # The asset's START waits for its materialization: it and COMPLETE are of one Dagster event.
    refusal = f"refused with {status}: the backend does not want revenue"
    assert parked_in(home) == [(nightly, f"{refusal}; {refusal}")]
    assert read_status(home.outbox).parked == 1
    # It is not sent again by itself.
    requests = receiver.requests
    with home.instance() as instance:
        execute(DEFINITIONS, "tenant", instance)
        wait_until(lambda: sent_everything(home), 60, "the outbox to be empty")
    sent_since = receiver.events[-(receiver.requests - requests) :]
    assert nightly not in {run_id_of(event) for event in sent_since}
    assert len(parked_in(home)) == 1


def test_while_the_backend_is_down_the_outbox_takes_no_more_room_than_what_waits_in_it(
    home: DagsterHome, receiver: Receiver
) -> None:
    """An outage of a day on a busy instance must not fill the disk."""
    receiver.answer = lambda _: 503
    count = 2_000
    with home.instance() as instance, dg.DagsterInstance.from_config(str(home.path)) as other:
        for number in range(count):
            storage = (instance if number % 2 else other).event_log_storage
            storage.store_event(materialization(number))
        status = read_status(home.outbox)
        assert status.depth == count
        room = sum(path.stat().st_size for path in home.outbox.iterdir())
        with sqlite3.connect(home.outbox / "outbox.db") as connection:
            [[characters]] = connection.execute("SELECT sum(length(payload)) FROM record")
        # Four megabytes are what SQLite lets its log of changes grow to by default.
        assert room < 10 * characters + 2 * 4_000_000


def materialization(number: int) -> dg.EventLogEntry:
    from dagster._core.events import DagsterEvent, DagsterEventType, StepMaterializationData

    event = DagsterEvent(
        event_type_value=DagsterEventType.ASSET_MATERIALIZATION.value,
        job_name="nightly",
        event_specific_data=StepMaterializationData(
            dg.AssetMaterialization("raw"), asset_lineage=[]
        ),
        message=f"number {number}",
    )
    return dg.EventLogEntry(
        error_info=None,
        level=10,
        user_message="",
        run_id="0199a1b2-0000-7000-8000-000000000001",
        timestamp=1_767_580_000.0 + number,
        step_key="raw",
        job_name="nightly",
        dagster_event=event,
    )


def all_expected(instance: dg.DagsterInstance) -> list[str]:
    return [
        line
        for run in instance.get_runs()
        for line in summary(expected_events(instance, run.run_id, DEFINITIONS))
    ]


def parked_in(home: DagsterHome) -> list[tuple[str, str]]:
    """Read the ordering keys and the reasons."""
    outbox = Outbox(home.outbox)
    try:
        return [(record.ordering_key, reason) for record, reason in outbox.parked()]
    finally:
        outbox.close()


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    wait_until(no_shipper, 30, "the threads of shippers to end")
