"""What is kept is for its owner only, and what an event says is in no log, whatever goes wrong."""

import logging
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

import orders_project
from dagster_home import DagsterHome, wait_until
from openlineage_dagster_core import conversion
from openlineage_dagster_core.conversion import custom
from openlineage_dagster_core.delivery.outbox import Outbox, read_status
from openlineage_dagster_storage import recording
from receiver import Receiver
from recorded_run import execute
from secretive_project import DEFINITIONS, MISTAKEN_ASSETS, SECRET

MASKS = (0o000, 0o022, 0o077)

LOGGED = "openlineage"
"""Begins the names of our loggers, and of the client's."""


@pytest.fixture(autouse=True)
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where gaps are noted while the outbox cannot be written."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(directory))
    return directory


@pytest.fixture(params=MASKS, ids=lambda mask: f"{mask:03o}")
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def put_in_the_way(home: DagsterHome) -> None:
    """Have a file where the outbox's directory should be."""
    if home.outbox.exists():
        shutil.rmtree(home.outbox)
    home.outbox.write_text("in the way")


def check_private(directory: Path) -> None:
    files = list(directory.rglob("*"))
    assert files
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for path in files:
        expected = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == expected, path


@pytest.mark.usefixtures("umask")
@pytest.mark.skipif(os.name == "nt", reason="no modes on this system")
def test_the_outbox_is_private_in_every_state(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answer = lambda event: 422 if event["job"]["name"] == "revenue" else 201
    home = DagsterHome(tmp_path / "home", receiver.url)
    with home.instance() as instance:
        execute(orders_project.DEFINITIONS, "nightly", instance)
        check_private(home.outbox)
    (home.outbox / "outbox.db").write_bytes(b"nonsense" * 4096)
    with home.instance() as instance:
        execute(orders_project.DEFINITIONS, "nightly", instance)
    assert list(home.outbox.glob("*.broken-*"))
    check_private(home.outbox)


@pytest.mark.usefixtures("umask")
@pytest.mark.skipif(os.name == "nt", reason="no modes on this system")
def test_what_is_noted_while_there_is_no_outbox_is_private(
    tmp_path: Path, receiver: Receiver, notes: Path
) -> None:
    home = DagsterHome(tmp_path / "home", receiver.url)
    put_in_the_way(home)
    with home.instance() as instance:
        assert execute(orders_project.DEFINITIONS, "nightly", instance).success
    [directory] = notes.iterdir()
    check_private(directory)


@pytest.mark.parametrize("mask", MASKS, ids=lambda mask: f"{mask:03o}")
def test_a_directory_that_is_named_is_made_private(
    tmp_path: Path, receiver: Receiver, mask: int
) -> None:
    directory = tmp_path / "elsewhere" / "outbox"
    home = DagsterHome(
        tmp_path / "home", receiver.url, options={"outbox_directory": str(directory)}
    )
    before = os.umask(mask)
    try:
        with home.instance() as instance:
            execute(orders_project.DEFINITIONS, "nightly", instance)
    finally:
        os.umask(before)
    check_private(directory)


def answers(status: int) -> Callable[..., None]:
    """Answer with what was sent, as some backends do."""

    def fail(receiver: Receiver, **_: Any) -> None:
        receiver.answer = lambda _: status
        receiver.body = f"cannot take {{'password': '{SECRET}'}}"

    return fail


def cannot_be_converted(monkeypatch: pytest.MonkeyPatch, **_: Any) -> None:
    def broken(*args: object) -> None:
        raise ValueError(f"no idea what {SECRET} is")

    monkeypatch.setattr(conversion, "convert", broken)


def cannot_be_referred_to(monkeypatch: pytest.MonkeyPatch, **_: Any) -> None:
    def broken(*args: object) -> None:
        raise ValueError(f"no idea what {SECRET} is")

    monkeypatch.setattr(recording, "references_to", broken)


def cannot_be_read(monkeypatch: pytest.MonkeyPatch, **_: Any) -> None:
    read = dg.DagsterInstance.get_records_for_run

    def broken(self: dg.DagsterInstance, *args: Any, **options: Any) -> Any:
        if threading.current_thread().name == "openlineage-shipper":
            # As SQLAlchemy's errors do, it repeats the parameters of the statement.
            raise RuntimeError(f"SELECT … [parameters: ({SECRET})]")
        return read(self, *args, **options)

    monkeypatch.setattr(dg.DagsterInstance, "get_records_for_run", broken)


def has_no_outbox(home: DagsterHome, **_: Any) -> None:
    put_in_the_way(home)


FAILURES = [
    answers(400),
    answers(413),
    answers(422),
    answers(429),
    answers(500),
    answers(503),
    cannot_be_converted,
    cannot_be_referred_to,
    cannot_be_read,
    has_no_outbox,
]


class Said:
    """Everything that this process has said since."""

    def __init__(self, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
        self._caplog = caplog
        self._capfd = capfd

    def wait_for_complaint(self) -> None:
        wait_until(
            lambda: any(
                record.name.startswith(LOGGED) and record.levelno >= logging.WARNING
                for record in list(self._caplog.records)
            ),
            60,
            "something to be said of what is wrong",
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
    tmp_path: Path,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    said: Said,
    fail: Callable[..., None],
) -> None:
    home = DagsterHome(tmp_path / "home", receiver.url, options={"timeout": 2.0})
    fail(receiver=receiver, monkeypatch=monkeypatch, home=home)
    with home.instance() as instance:
        assert execute(DEFINITIONS, "well_formed", instance).success
        said.wait_for_complaint()
    assert said.with_the_secret() == []


@pytest.mark.parametrize("asset", MISTAKEN_ASSETS)
def test_when_metadata_is_wrong_what_it_says_is_in_no_log(
    tmp_path: Path, receiver: Receiver, said: Said, asset: str
) -> None:
    home = DagsterHome(tmp_path / "home", receiver.url)
    with home.instance() as instance:
        assert execute(DEFINITIONS, asset, instance).success
        said.wait_for_complaint()
        wait_until(lambda: not read_status(home.outbox).depth, 60, "the outbox to be empty")
    assert said.with_the_secret() == []


def test_what_is_half_a_character_is_in_no_log_either(
    tmp_path: Path, receiver: Receiver, said: Said
) -> None:
    home = DagsterHome(tmp_path / "home", receiver.url)
    with home.instance() as instance:
        assert execute(DEFINITIONS, "not_text", instance).success
        wait_until(lambda: not read_status(home.outbox).depth, 60, "the outbox to be empty")
    assert said.with_the_secret() == []


def test_when_a_function_of_the_users_fails_what_the_event_says_is_in_no_log(
    tmp_path: Path, receiver: Receiver, said: Said
) -> None:
    home = DagsterHome(
        tmp_path / "home",
        receiver.url,
        options={"facet_providers": ["secretive_project:raises"]},
    )
    with home.instance() as instance:
        assert execute(DEFINITIONS, "well_formed", instance).success
        said.wait_for_complaint()
        wait_until(lambda: not read_status(home.outbox).depth, 60, "the outbox to be empty")
    assert said.with_the_secret() == []


def formatted(record: logging.LogRecord) -> str:
    """Write a record with its traceback, as a handler does."""
    return logging.Formatter("%(message)s %(args)s").format(record)


def test_where_a_secret_is_not_in_a_log_it_is_kept_beside_what_was_refused(
    tmp_path: Path, receiver: Receiver
) -> None:
    """The other side: who may read the outbox learns what the backend did not like."""
    answers(422)(receiver)
    home = DagsterHome(tmp_path / "home", receiver.url)
    with home.instance() as instance:
        execute(DEFINITIONS, "well_formed", instance)
        wait_until(lambda: not read_status(home.outbox).depth, 60, "the outbox to be empty")
    outbox = Outbox(home.outbox)
    reasons = [reason for _, reason in outbox.parked()]
    outbox.close()
    assert reasons
    assert all(SECRET in reason for reason in reasons)
