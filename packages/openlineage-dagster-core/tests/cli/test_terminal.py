"""What commands leave on a terminal: foreign text that is not obeyed, errors without secrets."""

import json
import sqlite3
from pathlib import Path

import click
import dagster as dg
import pytest

from command_line import Run
from openlineage_dagster_core.cli.terminal import (
    CommandError,
    cause_of,
    escaped,
    explained,
    report,
)
from receiver import Receiver

RED = "\x1b[31m"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("raw/orders", "raw/orders"),
        ("Zürich Café 東京 [red]", "Zürich Café 東京 [red]"),
        (f"{RED}red", "\\x1b[31mred"),
        ("two\nlines\r\t", "two\\nlines\\r\\t"),
        ("\x00\x7f\x9b31m", "\\x00\\x7f\\x9b31m"),
        ("\u202eright to left\u200b", "\\u202eright to left\\u200b"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text: str, shown: str) -> None:
    assert escaped(text) == shown


def test_what_is_printed_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    report(f"name {RED}")
    assert capsys.readouterr().err == "name \\x1b[31m\n"
    assert CommandError(f"No run {RED}.", "Name another.").format_message() == (
        "No run \\x1b[31m. Name another."
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with an asset whose key, and a reason whose text, would colour the terminal."""
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return tmp_path


def run_of(home: Path, key: str) -> str:
    @dg.op(name="odd")
    def materializes(context: dg.OpExecutionContext) -> None:
        context.log_event(dg.AssetMaterialization(key))

    @dg.job
    def by_hand() -> None:
        materializes()

    with dg.DagsterInstance.from_config(str(home)) as instance:
        return by_hand.execute_in_process(instance=instance).run_id


@pytest.mark.parametrize("key", [RED, "[bold red]"])
def test_no_command_lets_a_name_or_a_reason_through(
    command: Run,
    home: Path,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    key: str,
) -> None:
    run_id = run_of(home, key)
    monkeypatch.setenv("OPENLINEAGE_URL", receiver.url)
    receiver.answer = lambda event: 422
    receiver.body = f"not {RED}this[/red]"
    shown = command("show", run_id, "--home", home)
    replayed = command("replay", "--home", home)
    other = tmp_path / "other.ndjson"
    events = [
        json.loads(line)
        for line in command("show", run_id, "--json", "--home", home).out.splitlines()
    ]
    for event in events:
        event["inputs"] = [{"namespace": "n", "name": RED}]
    other.write_text("\n".join(map(json.dumps, events)))
    compared = command("show", run_id, "--diff", other, "--home", home)
    unknown = command("replay", "--run", RED, "--dry-run", "--home", home)
    drawn = command("graph", other, "--output", tmp_path / f"{RED}.html")
    examined = command("doctor", "--home", home, "--send")
    assert (drawn.status, examined.status) == (0, 2), drawn
    assert "not \\x1b[31mthis" in examined.out
    assert replayed.status == compared.status == 1
    assert "refused with 422: not \\x1b[31mthis[/red]" in replayed.out
    assert "There is no run \\x1b[31m" in unknown.err
    assert key not in shown.out or key == "[bold red]"
    for outcome in (shown, replayed, compared, unknown, drawn, examined):
        assert "\x1b" not in outcome.out + outcome.err


def test_what_a_library_raises_becomes_a_sentence_with_the_next_step() -> None:
    with (
        pytest.raises(CommandError) as caught,
        explained("The house cannot be entered", "Take the key."),
    ):
        raise ValueError("no door.")
    assert str(caught.value) == "The house cannot be entered: ValueError: no door. Take the key."


@pytest.mark.parametrize("error", [CommandError("A.", "B."), click.Abort(), KeyboardInterrupt()])
def test_what_is_explained_already_and_ctrl_c_pass(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, explained("It fails", "Do."):
        raise error
    assert caught.value is error


def test_the_cause_is_what_began_it_in_one_line() -> None:
    first = sqlite3.OperationalError("unable to open\n database file")
    middle = RuntimeError("sqlalchemy says so")
    middle.__cause__ = first
    last = ValueError("all went wrong")
    last.__cause__ = middle
    assert cause_of(last) == "SQLite: unable to open database file"


def test_a_cause_tells_no_secret() -> None:
    error = ValueError("could not connect to postgresql://ann:hunter2@db/dagster")
    assert "hunter2" not in cause_of(error)
    assert "db/dagster" in cause_of(error)


def test_missing_permission_names_the_file() -> None:
    assert cause_of(PermissionError(13, "denied", "/etc/x")) == "no permission for /etc/x"


def test_an_error_without_a_text_is_named_by_its_class() -> None:
    assert cause_of(KeyError()) == "KeyError"
