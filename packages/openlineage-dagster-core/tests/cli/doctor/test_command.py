from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from openlineage_dagster_core.cli.doctor import subject
from openlineage_dagster_core.cli.main import status_of

STAND_IN = """
import dagster._core.storage.event_log as event_log
from openlineage_dagster_core.settings import Settings

class WrappedSqliteEventLogStorage(event_log.SqliteEventLogStorage):
    openlineage_mechanism = "storage"
    settings = Settings(namespace="of-storage")

    @classmethod
    def from_config_value(cls, inst_data, config_value):
        return cls(inst_data=inst_data, **config_value)
"""

HANGING = """
import dagster._core.storage.event_log as event_log
import threading

released = threading.Event()

class HangingEventLogStorage(event_log.SqliteEventLogStorage):
    @classmethod
    def from_config_value(cls, inst_data, config_value):
        released.wait(60)
        raise RuntimeError("released")
"""

DEFINITIONS = """
import dagster as dg
print("users print what they like")

@dg.asset
def orders(): ...

defs = dg.Definitions(assets=[orders])
"""


def findings(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[Any]]:
    status = status_of(["doctor", "--json", *arguments])
    output = capsys.readouterr()
    assert "Traceback" not in output.err
    return status, json.loads(output.out)


def of(found: list[Any], check: str) -> list[tuple[str, str]]:
    return [(each["status"], each["message"]) for each in found if each["check"] == check]


def configure(home: Path, module: str, name: str) -> None:
    (home / "dagster.yaml").write_text(
        "event_log_storage:\n"
        f"  module: {module}\n  class: {name}\n"
        f"  config: {{base_dir: {home / 'history' / 'runs'}}}\n"
    )


def test_without_a_home_it_says_so_and_checks_the_rest(
    capsys: pytest.CaptureFixture[str], marquez_like: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", marquez_like.url)

    status, found = findings(capsys)

    assert status == 2
    assert of(found, "instance") == [("problem", "DAGSTER_HOME is not set")]
    assert of(found, "connectivity")[0][0] == "ok"


@pytest.mark.parametrize("with_file", [True, False])
def test_a_directory_that_is_no_home_stays_as_it_is(
    with_file: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "other"
    directory.mkdir()
    if with_file:
        (directory / "letter.txt").write_text("Dear")
    before = list(directory.iterdir())

    status, found = findings(capsys, "--home", str(directory))

    assert status == 2
    assert of(found, "instance")[0][0] == "problem"
    assert list(directory.iterdir()) == before


def test_a_broken_dagster_yaml_is_a_problem(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "dagster.yaml").write_text("storage: {")

    status, found = findings(capsys, "--home", str(home))

    assert status == 2
    assert "dagster.yaml cannot be read" in of(found, "instance")[0][1]


def test_all_is_well_with_a_wrapped_storage_and_a_backend(
    home: Path,
    code_folder: Path,
    marquez_like: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (code_folder / "stand_in.py").write_text(STAND_IN)
    (code_folder / "my_definitions.py").write_text(DEFINITIONS)
    configure(home, "stand_in", "WrappedSqliteEventLogStorage")
    monkeypatch.setenv("OPENLINEAGE_URL", marquez_like.url)
    monkeypatch.setenv("DAGSTER_HOME", str(home))

    status, found = findings(capsys, "-m", "my_definitions", "--send")

    # Of versions it is noted where core is installed alone.
    assert {each["status"] for each in found if each["check"] != "versions"} == {"ok"}
    assert status == 0
    assert of(found, "definitions") == [("ok", "my_definitions is loaded")]
    assert [each[0] for each in of(found, "test event")] == ["ok", "ok"]
    assert "jobs in 'of-storage'" in of(found, "namespaces")[0][1]
    assert len(marquez_like.states) == 1
    assert "OPENLINEAGE_DISABLED" not in os.environ


def test_definitions_that_cannot_be_loaded_are_a_problem_and_the_rest_is_checked(
    home: Path, code_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (code_folder / "broken.py").write_text("raise RuntimeError('odd')")
    (code_folder / "ending.py").write_text("raise SystemExit(7)")

    _, broken = findings(capsys, "--home", str(home), "-m", "broken")
    status, ending = findings(capsys, "--home", str(home), "-f", str(code_folder / "ending.py"))

    assert status == 2
    assert "RuntimeError: odd" in of(broken, "definitions")[0][1]
    assert "exit 7" in of(ending, "definitions")[0][1]
    assert of(broken, "instance")[0][0] == of(ending, "instance")[0][0] == "ok"


def test_an_instance_that_hangs_is_given_up_and_leaves_the_environment(
    home: Path,
    code_folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (code_folder / "hanging_storage.py").write_text(HANGING)
    configure(home, "hanging_storage", "HangingEventLogStorage")
    monkeypatch.setattr(subject, "OPENING_SECONDS", 0.3)

    status, found = findings(capsys, "--home", str(home))
    is_disabled = "OPENLINEAGE_DISABLED" in os.environ
    import hanging_storage  # type: ignore[import-not-found]

    hanging_storage.released.set()
    for thread in threading.enumerate():
        if thread.name == "openlineage-doctor":
            thread.join()

    assert status == 2
    assert "has not ended after 0.3 s" in of(found, "instance")[0][1]
    assert not is_disabled
    assert of(found, "mechanisms")


def test_no_secret_is_printed(
    home: Path,
    refusing: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", refusing.replace("//", "//me:geheim@"))
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "streng")

    assert status_of(["doctor", "--home", str(home), "--send"]) == 2
    output = capsys.readouterr()

    assert "Connection refused" in output.out
    for secret in ("geheim", "streng"):
        assert secret not in output.out + output.err


def test_people_get_a_line_each_with_a_mark_and_what_to_do(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(["doctor", "--home", str(home)]) == 2
    lines = capsys.readouterr().out.splitlines()

    (at,) = [number for number, line in enumerate(lines) if line.startswith("problem transport")]
    assert lines[at + 1].strip().startswith("-> Set OPENLINEAGE_URL")
    assert any(line.startswith("ok      instance") for line in lines)
    assert lines[-1] == "1 problem."


def test_ctrl_c_ends_it_without_a_traceback(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subject, "bounded", interrupt)

    assert status_of(["doctor", "--home", str(home)]) == 130
    assert "Traceback" not in capsys.readouterr().err
