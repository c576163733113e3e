"""What a deliverer leaves for others to read, and how they judge whether it lives."""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openlineage_dagster_core import deliverer_state
from openlineage_dagster_core.deliverer_state import (
    CURSOR_ROW,
    DIGITS,
    GRACE_SECONDS,
    HEARTBEAT_ROW,
    Configuration,
    Heartbeat,
    Host,
    Requests,
    configuration_of,
    configurations_in,
    configurations_text,
    read_state,
    this_host,
)
from openlineage_dagster_core.event_log.cursor import Cursor
from openlineage_dagster_core.key_values import LONGEST_VALUE, KeyValues
from openlineage_dagster_core.settings import Settings

ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=30)
NOW = 1.8e9
ENVIRON = {"OPENLINEAGE_URL": "http://backend:5000", "OPENLINEAGE_API_KEY": "a-secret", "HOME": "x"}


@given(
    heartbeat=st.builds(
        Heartbeat, at=st.floats(0, 1e10), host=ANY_TEXT, trouble=ANY_TEXT, pid=st.integers(0)
    )
)
def test_a_heartbeat_reads_back_as_it_was_written(heartbeat: Heartbeat) -> None:
    assert Heartbeat.from_text(heartbeat.to_text()) == heartbeat


@pytest.mark.parametrize("text", [None, "", "nonsense", "[]", "{}", '{"unknown": 1}'])
def test_what_is_no_heartbeat_is_none(text: str | None) -> None:
    assert Heartbeat.from_text(text) is None


def test_a_heartbeat_of_a_later_version_is_read_without_what_is_new_in_it() -> None:
    text = json.dumps({"at": NOW, "pid": 7, "invented_later": True})
    assert Heartbeat.from_text(text) == Heartbeat(at=NOW, pid=7)


def elsewhere(**options: Any) -> Heartbeat:
    return Heartbeat(next_by=NOW, namespace="another machine", **options)


def test_a_deliverer_on_another_machine_lives_until_it_is_overdue() -> None:
    assert elsewhere(pid=1).is_alive(NOW)
    assert elsewhere(pid=1).is_alive(NOW + GRACE_SECONDS)
    assert not elsewhere(pid=1).is_alive(NOW + GRACE_SECONDS + 1)


def test_a_deliverer_that_said_so_has_ended() -> None:
    assert not elsewhere(has_ended=True).is_alive(NOW)


def test_a_deliverer_here_lives_while_its_process_does() -> None:
    here = this_host().namespace
    assert Heartbeat(next_by=NOW, namespace=here, pid=os.getpid()).is_alive(NOW)
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert not Heartbeat(next_by=NOW, namespace=here, pid=process.pid).is_alive(NOW)


def test_a_process_of_another_user_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_permitted(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", not_permitted)
    heartbeat = Heartbeat(next_by=NOW, namespace=this_host().namespace, pid=1)
    assert heartbeat.is_alive(NOW)


def test_where_a_host_cannot_be_told_its_processes_are_not_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deliverer_state, "this_host", lambda: Host("here", ""))
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("asks for a process"))
    heartbeat = Heartbeat(next_by=NOW, namespace="", pid=4_000_000)
    assert not heartbeat.is_here
    assert heartbeat.is_alive(NOW)


def test_processes_of_this_machine_find_the_same_namespace() -> None:
    program = (
        "from openlineage_dagster_core.deliverer_state import this_host;"
        "print(this_host().namespace)"
    )
    printed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == this_host().namespace != ""


def test_configurations_read_back_the_newest_last() -> None:
    old = Configuration("b", {"option x": "1"}, first_at=1.0, last_at=9.0, host="h", turns=2)
    new = Configuration("a", {"option x": "2"}, first_at=2.0, last_at=3.0)
    assert configurations_in(configurations_text([old, new])) == [old, new]
    assert configurations_in(configurations_text([new, old])) == [old, new]


@pytest.mark.parametrize("text", [None, "nonsense", '{"a": {"unknown": 1}}', '{"a": [1]}'])
def test_what_is_no_configuration_is_left_out(text: str | None) -> None:
    assert configurations_in(text) == []


def test_of_too_many_configurations_the_newest_are_kept() -> None:
    parts = {f"variable OPENLINEAGE_{number}": "0a1b2c" for number in range(300)}
    many = [Configuration(str(number), parts, first_at=float(number)) for number in range(50)]
    text = configurations_text(many)
    assert len(text) <= LONGEST_VALUE
    kept = configurations_in(text)
    assert kept[-1] == many[-1]
    assert kept == many[-len(kept) :]


@given(retry=st.lists(ANY_TEXT), drop=st.lists(ANY_TEXT))
def test_requests_read_back_as_they_were_written(retry: list[str], drop: list[str]) -> None:
    requests = Requests(tuple(retry), tuple(drop))
    assert Requests.from_text(requests.to_text()) == requests


def test_without_a_row_nothing_is_requested() -> None:
    assert Requests.from_text(None) == Requests()


def test_the_state_is_read_with_one_query() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert read_state(KeyValues(instance)).cursor is None
        assert read_state(KeyValues(instance)).heartbeat is None
        heartbeat = Heartbeat(at=time.time(), host="h")
        KeyValues(instance).put(
            {CURSOR_ROW: Cursor(low=7).to_text(1000), HEARTBEAT_ROW: heartbeat.to_text()}
        )
        state = read_state(KeyValues(instance))
    assert state.cursor == Cursor(low=7, seen=7)
    assert state.heartbeat == heartbeat
    assert (list(state.configurations), state.requests) == ([], Requests())


def test_the_same_settings_and_environment_have_the_same_digest() -> None:
    assert configuration_of(Settings(), ENVIRON) == configuration_of(Settings(), dict(ENVIRON))


@pytest.mark.parametrize(
    "change",
    [
        {"OPENLINEAGE_URL": "http://other:5000"},
        {"OPENLINEAGE_API_KEY": "another"},
        {"OPENLINEAGE__TRANSPORT__TYPE": "console"},
        {"OPENLINEAGE_URL": ""},
    ],
)
def test_another_address_or_key_is_another_configuration(change: dict[str, str]) -> None:
    before = configuration_of(Settings(), ENVIRON)
    after = configuration_of(Settings(), {**ENVIRON, **change})
    assert after.digest != before.digest
    [name] = change
    differing = {
        part
        for part in {*before.parts, *after.parts}
        if before.parts.get(part) != after.parts.get(part)
    }
    assert differing == {f"variable {name}"}, "it is named"


def test_another_option_is_another_configuration() -> None:
    other = Settings.from_options({"job_namespace": "other"}, {})
    before, after = (configuration_of(each, ENVIRON) for each in (Settings(), other))
    differing = {part for part in before.parts if before.parts[part] != after.parts[part]}
    assert differing == {"option job_namespace"}


def test_another_version_of_ours_is_another_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    before = configuration_of(Settings(), ENVIRON)
    monkeypatch.setattr(deliverer_state, "__version__", "99.0")
    after = configuration_of(Settings(), ENVIRON)
    assert before.digest != after.digest
    assert {part for part in before.parts if before.parts[part] != after.parts[part]} == {"version"}


def test_another_openlineage_yml_is_another_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "openlineage.yml"
    environ = {"OPENLINEAGE_CONFIG": str(path)}
    digests = set()
    for kind in ("console", "noop"):
        path.write_text(f"transport:\n  type: {kind}\n")
        configuration = configuration_of(Settings(), environ)
        assert "file openlineage.yml" in configuration.parts
        digests.add(configuration.digest)
    assert len(digests) == 2


@pytest.mark.parametrize(
    "name",
    [
        "OPENLINEAGE_PARENT_ID",
        "OPENLINEAGE_ROOT_PARENT_ID",
        "OPENLINEAGE_CONTEXT",
        "OPENLINEAGE_DISABLED",
        "DAGSTER_RUN_JOB_NAME",
    ],
)
def test_what_differs_from_run_to_run_is_no_part_of_it(name: str) -> None:
    changed = configuration_of(Settings(), {**ENVIRON, name: "x"})
    assert changed.digest == configuration_of(Settings(), ENVIRON).digest


def test_no_value_is_in_it() -> None:
    written = json.dumps(asdict(configuration_of(Settings(), ENVIRON)))
    assert "a-secret" not in written
    assert "//backend" not in written
    parts = configuration_of(Settings(), ENVIRON).parts
    assert {len(digest) for part, digest in parts.items() if part != "version"} == {DIGITS}


def test_a_value_that_is_no_text_is_told_apart_too() -> None:
    environ = {"OPENLINEAGE_URL": "http://x/\udcff"}
    assert configuration_of(Settings(), environ).parts["variable OPENLINEAGE_URL"]


@pytest.mark.parametrize("seed", ["1", "2"])
def test_every_process_finds_the_same_digest(seed: str) -> None:
    program = (
        "import os; from openlineage_dagster_core.settings import Settings;"
        "from openlineage_dagster_core.deliverer_state import configuration_of;"
        "options = {'families': ['run', 'asset', 'check', 'step'],"
        " 'disabled_facets': ['sql', 'tags']};"
        "settings = Settings.from_options(options, {});"
        "print(configuration_of(settings, {'OPENLINEAGE_URL': 'http://x'}).digest)"
    )
    printed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    options = {"families": ["check", "step", "run", "asset"], "disabled_facets": ["tags", "sql"]}
    settings = Settings.from_options(options, {})
    expected = configuration_of(settings, {"OPENLINEAGE_URL": "http://x"}).digest
    assert printed.stdout.strip() == expected
