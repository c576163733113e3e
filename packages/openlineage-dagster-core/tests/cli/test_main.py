"""The command line as a whole: what is never seen is a traceback."""

import logging
import subprocess
import sys

import click
import pytest

from command_line import Run
from openlineage_dagster_core.cli import main as main_module
from openlineage_dagster_core.version import __version__

COMMANDS = sorted(main_module.group.commands)


def test_these_are_the_commands() -> None:
    assert COMMANDS == [
        "completion",
        "deliver",
        "doctor",
        "graph",
        "parked",
        "replay",
        "show",
        "status",
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_examples(command: Run, name: str) -> None:
    outcome = command(name, "--help")
    assert outcome.status == 0
    assert f"openlineage-dagster {name}" in outcome.out.partition("Examples:")[2]


def test_help_and_version_answer_without_dagster() -> None:
    script = (
        "import sys\n"
        "from openlineage_dagster_core.cli.main import status_of\n"
        "assert status_of(['replay', '--help']) == 0\n"
        "assert status_of(['--version']) == 0\n"
        "heavy = {'dagster', 'openlineage', 'rich', 'requests'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert __version__ in done.stdout


def test_an_unknown_command_or_option_is_said_in_one_line(command: Run) -> None:
    for arguments in (["repaly"], ["replay", "--form-run", "x"]):
        outcome = command(*arguments)
        assert outcome.status == 2
        assert "Error: No such" in outcome.err


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (RuntimeError("odd"), 2, "RuntimeError: odd. This is a defect of openlineage-dagster"),
        (KeyboardInterrupt(), 130, "Stopped."),
        (click.Abort(), 130, "Stopped."),
        (BrokenPipeError(), 2, ""),
    ],
)
def test_whatever_a_command_raises_ends_here(
    command: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, said: str
) -> None:
    @click.command()
    def odd() -> None:
        raise error

    monkeypatch.setitem(main_module.group.commands, "odd", odd)
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    outcome = command("odd")
    assert outcome.status == status
    assert said in outcome.err


def test_a_traceback_is_shown_to_who_asks_for_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert main_module.status_of(["--traceback", "replay", "--dry-run"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_tracebacks_and_what_libraries_log_are_escaped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    def odd() -> None:
        for name in ("openlineage.client.client", "dagster", "openlineage_dagster_core.engine"):
            logging.getLogger(name).warning("logged \x1b[31m by %s", name)
        logging.warning("logged \x1b[31m by the root")
        msg = "raised \x1b[31m"
        raise ValueError(msg)

    before = list(logging.getLogger().handlers)
    monkeypatch.setitem(main_module.group.commands, "odd", odd)
    assert main_module.status_of(["--traceback", "odd"]) == 2
    err = capsys.readouterr().err
    assert err.count("logged \\x1b[31m by ") == 4
    assert "\nValueError: raised \\x1b[31m\n" in err
    assert "\x1b" not in err
    assert logging.getLogger().handlers == before


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_what_the_shell_reads(command: Run, shell: str) -> None:
    outcome = command("completion", shell)
    assert outcome.status == 0
    assert "_OPENLINEAGE_DAGSTER_COMPLETE" in outcome.out


def test_completion_completes(monkeypatch: pytest.MonkeyPatch, command: Run) -> None:
    monkeypatch.setenv("_OPENLINEAGE_DAGSTER_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "openlineage-dagster rep")
    monkeypatch.setenv("COMP_CWORD", "1")
    with pytest.raises(SystemExit):
        command()
