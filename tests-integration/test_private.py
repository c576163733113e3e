"""What an event says is in no log and in no file of the deliverer, whatever goes wrong."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dagster_home import DagsterHome
from delivery import deliver, state_of
from openlineage_dagster_core import engine
from openlineage_dagster_core.conversion import custom
from openlineage_dagster_core.event_log.tables import EventTables
from openlineage_dagster_core.snapshots import writing
from receiver import Receiver
from recorded_run import execute
from secretive_project import DEFINITIONS, MISTAKEN_ASSETS, SECRET

LOGGED = "openlineage"
"""Begins the names of our loggers, and of the client's."""

PASSES = 3
"""Where nothing can be delivered, the deliverer is stopped after so many passes."""


@pytest.fixture
def instance(tmp_path: Path, receiver: Receiver) -> Iterator[dg.DagsterInstance]:
    home = DagsterHome(
        tmp_path / "home", receiver.url, options={"timeout": 2.0, "deliver": "external"}
    )
    with home.instance() as instance:
        yield instance


def deliver_in_vain(instance: dg.DagsterInstance) -> None:
    """Run the deliverer in this process, whose log is looked at, for a few passes."""
    wrapper: Any = instance.event_log_storage
    passes: list[object] = []
    wrapper.run_deliverer(
        once=True, should_stop=lambda: len(passes) >= PASSES, on_pass=passes.append
    )


def answers(status: int) -> Callable[..., None]:
    """Answer with what was sent, as some backends do."""

    def fail(receiver: Receiver, **_: Any) -> None:
        receiver.answer = lambda _: status
        receiver.body = f"cannot take {{'password': '{SECRET}'}}"

    return fail


def broken(*args: object, **options: object) -> None:
    raise ValueError(f"no idea what {SECRET} is")


def cannot_be_converted(monkeypatch: pytest.MonkeyPatch, **_: Any) -> None:
    monkeypatch.setattr(engine, "convert", broken)


def has_no_snapshot(monkeypatch: pytest.MonkeyPatch, **_: Any) -> None:
    monkeypatch.setattr(writing, "keep_snapshot", broken)


def cannot_be_read(monkeypatch: pytest.MonkeyPatch, **_: Any) -> None:
    monkeypatch.setattr(EventTables, "rows", broken)


def cannot_be_decoded(monkeypatch: pytest.MonkeyPatch, **_: Any) -> None:
    monkeypatch.setattr(engine.StoredEvent, "entry", broken)


FAILURES = [
    answers(400),
    answers(413),
    answers(422),
    answers(429),
    answers(500),
    answers(503),
    cannot_be_converted,
    has_no_snapshot,
    cannot_be_read,
    cannot_be_decoded,
]


class Said:
    """Everything that this process has said since."""

    def __init__(self, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
        self._caplog = caplog
        self._capfd = capfd

    @property
    def has_complained(self) -> bool:
        """Whether we have said that something is wrong."""
        return any(
            record.name.startswith(LOGGED) and record.levelno >= logging.WARNING
            for record in list(self._caplog.records)
        )

    def with_the_secret(self) -> list[str]:
        records = [f"{record.name} {formatted(record)}" for record in self._caplog.records]
        lines = [*records, *"".join(self._capfd.readouterr()).splitlines()]
        return [line for line in lines if SECRET in line]


@pytest.fixture
def said(
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Said:
    caplog.set_level(logging.DEBUG)
    # Mistakes are told once a process.
    monkeypatch.setattr(custom, "mistakes", type(custom.mistakes)())
    monkeypatch.setenv("OPENLINEAGE_API_KEY", SECRET)
    return Said(caplog, capfd)


@pytest.mark.parametrize(
    "fail",
    FAILURES,
    ids=lambda fail: fail.__closure__[0].cell_contents if fail.__closure__ else fail.__name__,
)
def test_when_delivery_fails_what_an_event_says_is_in_no_log(
    instance: dg.DagsterInstance,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    said: Said,
    fail: Callable[..., None],
) -> None:
    fail(receiver=receiver, monkeypatch=monkeypatch)
    assert execute(DEFINITIONS, "well_formed", instance).success
    deliver_in_vain(instance)
    assert said.has_complained
    assert said.with_the_secret() == []


@pytest.mark.parametrize("asset", MISTAKEN_ASSETS)
def test_when_metadata_is_wrong_what_it_says_is_in_no_log(
    instance: dg.DagsterInstance, said: Said, asset: str
) -> None:
    assert execute(DEFINITIONS, asset, instance).success
    deliver(instance)
    assert said.has_complained
    assert said.with_the_secret() == []


def test_what_is_half_a_character_is_in_no_log_either(
    instance: dg.DagsterInstance, said: Said
) -> None:
    assert execute(DEFINITIONS, "not_text", instance).success
    deliver(instance)
    assert said.with_the_secret() == []


def test_when_a_function_of_the_users_fails_what_the_event_says_is_in_no_log(
    tmp_path: Path, receiver: Receiver, said: Said
) -> None:
    home = DagsterHome(
        tmp_path / "home",
        receiver.url,
        options={"facet_providers": ["secretive_project:raises"], "deliver": "external"},
    )
    with home.instance() as instance:
        assert execute(DEFINITIONS, "well_formed", instance).success
        deliver(instance)
    assert said.has_complained
    assert said.with_the_secret() == []


def formatted(record: logging.LogRecord) -> str:
    """Write a record with its traceback, as a handler does."""
    return logging.Formatter("%(message)s %(args)s").format(record)


def test_the_answer_to_a_refused_event_is_kept_with_its_name_in_the_instance(
    instance: dg.DagsterInstance, receiver: Receiver
) -> None:
    """The other side: who may read the instance learns what the backend did not like."""
    answers(422)(receiver)
    execute(DEFINITIONS, "well_formed", instance)
    deliver(instance)
    cursor = state_of(instance).cursor
    assert cursor is not None
    assert cursor.last_parked
    assert all(SECRET in parked.reason for parked in cursor.last_parked)
