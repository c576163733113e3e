from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from openlineage_dagster_core.cli.doctor import outbox as doctor_outbox
from openlineage_dagster_core.cli.doctor.finding import Finding, Status
from openlineage_dagster_core.cli.doctor.subject import Subject
from openlineage_dagster_core.delivery.outbox import Outbox


@pytest.fixture
def outbox(tmp_path: Path) -> Any:
    made = Outbox(tmp_path / "waiting")
    yield made
    made.close()


def look(directory: Path, *, wrapped: bool = True) -> list[Finding]:
    storage: Any = SimpleNamespace()
    if wrapped:
        storage = SimpleNamespace(openlineage_mechanism="storage", outbox_directory=directory)
    instance: Any = SimpleNamespace(event_log_storage=storage)
    return list(doctor_outbox.look(Subject({}, home=directory.parent, instance=instance)))


def bad(findings: list[Finding]) -> list[str]:
    return [each.message for each in findings if each.status not in (Status.OK, Status.NOTE)]


def test_an_outbox_that_is_not_there_yet_is_well(tmp_path: Path) -> None:
    assert bad(look(tmp_path / "waiting")) == []
    assert not (tmp_path / "waiting").exists()


def test_what_has_just_arrived_is_on_its_way(outbox: Outbox) -> None:
    outbox.append([("run", "x")])

    found = look(outbox.directory)

    assert bad(found) == []
    assert found[0].message.startswith("1 records wait")


def test_what_waits_for_long_is_a_warning(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox.append([("run", "x")])
    monkeypatch.setattr(doctor_outbox, "LATE_SECONDS", -1.0)

    (late,) = bad(look(outbox.directory))

    assert "1 records wait" in late


def test_errors_parked_records_and_gaps_are_warnings(outbox: Outbox) -> None:
    outbox.append([("run", "x"), ("run", "y")], gaps={"run": 1.0}, reason="disk full")
    outbox.park(outbox.pending(1)[0], "refused")
    outbox.note_error("HTTP 500, password=geheim")

    sending, parked, gaps = bad(look(outbox.directory))

    assert "HTTP 500" in sending
    assert "geheim" not in sending
    assert "1 records are parked" in parked
    assert "disk full" in gaps


def test_what_nobody_will_send_is_a_warning(tmp_path: Path) -> None:
    left = Outbox(tmp_path / "openlineage")
    left.append([("run", "x")])
    left.close()

    (found,) = bad(look(tmp_path / "openlineage", wrapped=False))

    assert "nothing will send them" in found


@pytest.mark.skipif(os.name == "nt", reason="there are no modes")
def test_an_outbox_that_others_can_read_is_a_warning(outbox: Outbox) -> None:
    outbox.append([("run", "x")])
    assert bad(look(outbox.directory)) == []

    outbox.directory.chmod(0o755)
    outbox.path.chmod(0o644)
    found = [each for each in look(outbox.directory) if each.status is Status.WARNING]

    assert [each.remedy for each in found] == [
        f"chmod 700 {outbox.directory}",
        f"chmod 600 {outbox.path}",
    ]


def test_a_full_disk_is_a_warning(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox.append([("run", "x")])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))

    (found,) = bad(look(outbox.directory))

    assert found == "0.0 GB are free on its disk"


def test_nothing_is_said_without_the_storage(tmp_path: Path) -> None:
    assert look(tmp_path / "openlineage", wrapped=False) == []
