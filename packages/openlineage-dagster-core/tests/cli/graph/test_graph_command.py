"""The command, as users call it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from openlineage_dagster_core.cli.main import status_of
from openlineage_dagster_core.cli.terminal import FAILED, INCOMPLETE, OK

EVENT = {
    "eventType": "COMPLETE",
    "eventTime": "2026-01-01T10:00:00Z",
    "run": {"runId": "r1"},
    "job": {"namespace": "shop", "name": "sales"},
    "inputs": [{"namespace": "shop", "name": "orders"}],
    "outputs": [{"namespace": "shop", "name": "sales"}],
}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)


@pytest.fixture
def events(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    path.write_text(f"{json.dumps(EVENT)}\nno json\n{{}}\n", encoding="utf-8")
    return path


def message(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    return " ".join(captured.err.split())


def test_a_page_is_written_and_what_is_left_out_is_counted(
    events: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("igraph", reason="pages are laid out by igraph: the extra `graph`")
    assert status_of(["graph", str(events)]) == OK
    captured = capsys.readouterr()
    assert captured.out == "lineage.html: 2 datasets and 1 jobs of events.jsonl.\n"
    assert captured.err == "2 lines are not OpenLineage events; they are left out.\n"
    assert Path("lineage.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_machines_get_json(events: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("igraph", reason="pages are laid out by igraph: the extra `graph`")
    assert status_of(["graph", str(events), "--json", "-o", "page.html"]) == OK
    assert json.loads(capsys.readouterr().out) == {
        "page": str(Path("page.html").absolute()),
        "source": "events.jsonl",
        "datasets": 2,
        "jobs": 1,
        "columns": 0,
        "left_out": 2,
    }


def test_the_page_is_opened_where_that_is_asked_for(
    events: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("igraph", reason="pages are laid out by igraph: the extra `graph`")
    opened: list[str] = []
    monkeypatch.setattr("click.launch", opened.append)
    assert status_of(["graph", str(events), "-o", "a page.html", "--open"]) == OK
    assert opened == [Path("a page.html").absolute().as_uri()]


def test_the_same_events_give_the_same_page(events: Path) -> None:
    pytest.importorskip("igraph", reason="pages are laid out by igraph: the extra `graph`")
    for name in ("one.html", "two.html"):
        assert status_of(["graph", str(events), "-o", name]) == OK
    assert Path("one.html").read_bytes() == Path("two.html").read_bytes()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", "names no dataset: no page"),
        ("no json\n7\n", "only 2 lines that are not OpenLineage events: no page"),
        (json.dumps({**EVENT, "inputs": [], "outputs": []}), "only 1 jobs: no page"),
    ],
)
def test_without_datasets_no_page_is_written(
    content: str, what: str, events: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events.write_text(content, encoding="utf-8")
    assert status_of(["graph", str(events)]) == INCOMPLETE
    said = message(capsys)
    assert what in said
    assert "Name a file of OpenLineage events" in said
    assert not Path("lineage.html").exists()


def test_without_igraph_the_extra_is_named(
    events: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "igraph", None)
    assert status_of(["graph", str(events)]) == FAILED
    assert 'pip install "openlineage-dagster-core[graph]"' in message(capsys)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["nowhere.jsonl"], "There is no file nowhere.jsonl."),
        (["."], "There is no file ."),
        ([], "DAGSTER_HOME is not set"),
        (["--home", "nowhere"], "There is no directory"),
        (["events.jsonl", "-m", "shop"], "Leave out one of them"),
        (["events.jsonl", "-o", "events.jsonl"], "Name another file after -o"),
        (["http://127.0.0.1:1"], "Marquez at http://127.0.0.1:1 does not answer"),
        (["http://user:hunter2@127.0.0.1:1"], "Marquez at http://127.0.0.1:1 does not answer"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    arguments: list[str], what: str, events: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(["graph", *arguments]) == FAILED
    said = message(capsys)
    assert what in said
    assert "hunter2" not in said
    assert not Path("lineage.html").exists()


def test_a_page_that_cannot_be_written_is_said(
    events: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("igraph", reason="pages are laid out by igraph: the extra `graph`")
    assert status_of(["graph", str(events), "-o", "no/such/folder/page.html"]) == FAILED
    assert "cannot be written" in message(capsys)


def test_the_standard_input_is_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("igraph", reason="pages are laid out by igraph: the extra `graph`")
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(EVENT)))
    assert status_of(["graph", "-"]) == OK
    assert "of the standard input" in capsys.readouterr().out


def test_the_event_log_of_an_instance_is_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("igraph", reason="pages are laid out by igraph: the extra `graph`")
    import dagster as dg

    @dg.asset
    def orders() -> None:
        """Made of nothing."""

    @dg.asset(deps=[orders])
    def sales() -> None:
        """Made of orders."""

    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    arguments: list[Any] = ["graph", "--home", str(home), "--json"]
    assert status_of(arguments) == INCOMPLETE
    assert "Materialize an asset first" in message(capsys)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        dg.materialize([orders, sales], instance=instance)
        instance.report_runless_asset_event(dg.AssetMaterialization("reported"))
    assert status_of(arguments) == OK
    said = json.loads(capsys.readouterr().out)
    assert said["datasets"] == 3
    page = Path("lineage.html").read_text(encoding="utf-8")
    assert '"name":"reported"' in page
