"""Accounts without a name or a home, homes that cannot be written: the lineage of runs arrives."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from dagster import DagsterRunStatus

import orders_project
from accounts import UID, as_account
from dagster_home import SQLITE, DagsterHome, wait_until
from delivered import check_order, each_once, expected_log
from delivery import has_delivered_all
from receiver import Receiver

EVENTS = 10
SECONDS = 120.0


def quiet(folder: Path) -> dict[str, Any]:
    """Keep Dagster itself from writing into the home."""
    return {
        "telemetry": {"enabled": False},
        "compute_logs": {
            "module": "dagster._core.storage.noop_compute_log_manager",
            "class": "NoOpComputeLogManager",
        },
        "local_artifact_storage": {
            "module": "dagster._core.storage.root",
            "class": "LocalArtifactStorage",
            "config": {"base_dir": str(folder)},
        },
    }


def ours(name: str, wrapped: dict[str, Any]) -> dict[str, Any]:
    config = {"wrapped": wrapped, "flush_timeout": 0.0}
    return {"module": "dagster_openlineage", "class": name, "config": config}


def give_to_account(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, UID, UID)


def run_as_account(
    home: DagsterHome,
    folder: Path,
    change: Callable[[dict[str, str]], None],
    root: str = "writable",
) -> subprocess.CompletedProcess[str]:
    """Execute the job as the account, in an environment that is changed first."""
    environ = home.environment()
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    temporary.chmod(0o1777)
    environ["TMPDIR"] = str(temporary)
    change(environ)
    in_process = folder / "in_process.yaml"
    in_process.write_text("execution: {config: {in_process: {}}}\n")
    job = ("-m", "orders_project", "-j", "nightly", "-c", str(in_process))
    command = ("-m", "dagster", "job", "execute", *job)
    return subprocess.run(
        as_account(str(PYTHON), *command, root=root),
        env=environ,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


PYTHON = Path(sys.executable)


def check_delivered(home: DagsterHome, receiver: Receiver) -> None:
    """Fail unless the run succeeded and all of it has arrived by the account's own deliverer."""
    receiver.wait_for(lambda: len(each_once(receiver.events)) >= EVENTS, SECONDS)
    with pytest.MonkeyPatch.context() as patched:
        # This process only looks: it is root, and would deliver for the account.
        patched.setenv("OPENLINEAGE_DISABLED", "true")
        with home.instance() as instance:
            wait_until(lambda: has_delivered_all(instance), SECONDS, "the deliverer", 0.2)
            [run] = instance.get_runs()
            assert run.status is DagsterRunStatus.SUCCESS
            expected = expected_log(instance, orders_project.DEFINITIONS)
    check_order(each_once(receiver.events), expected, "of the account")


def without_home(environ: dict[str, str]) -> None:
    environ.pop("HOME", None)


def with_a_home_that_is_not_there(environ: dict[str, str]) -> None:
    environ["HOME"] = "/nowhere/at/all"


def with_a_home_of_another_account(environ: dict[str, str]) -> None:
    closed = Path(environ["TMPDIR"]) / "closed"
    (closed / ".openlineage").mkdir(parents=True)
    (closed / ".openlineage" / "openlineage.yml").write_text("transport: {type: console}\n")
    closed.chmod(0o700)
    environ["HOME"] = str(closed)


@pytest.mark.parametrize(
    "change", [without_home, with_a_home_that_is_not_there, with_a_home_of_another_account]
)
def test_an_account_without_a_name_delivers_whatever_its_home_is(
    open_folder: Path, receiver: Receiver, change: Callable[[dict[str, str]], None]
) -> None:
    folder = open_folder / "home"
    wrapped = {**SQLITE, "config": {"base_dir": str(folder / "history" / "runs")}}
    content = {
        **quiet(folder / "artifacts"),
        "event_log_storage": ours("OpenLineageEventLogStorage", wrapped),
    }
    home = DagsterHome(folder, receiver.url, content=content)
    give_to_account(folder)
    done = run_as_account(home, open_folder, change)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    check_delivered(home, receiver)


def open_socket(url: str) -> None:
    """Let other accounts reach a server that these tests have started, through its socket."""
    for folder in parse_qs(urlsplit(url).query).get("host", ()):
        if folder.startswith("/"):
            Path(folder).chmod(0o711)


@pytest.mark.parametrize("root", ["writable", "read-only"])
def test_a_home_or_root_that_cannot_be_written_keeps_nothing_from_being_delivered(
    open_folder: Path, receiver: Receiver, make_database: Callable[[], str], root: str
) -> None:
    folder = open_folder / "home"
    artifacts = open_folder / "artifacts"
    url = make_database()
    open_socket(url)
    wrapped = {
        "module": "dagster_postgres",
        "class": "DagsterPostgresStorage",
        "config": {"postgres_url": url},
    }
    content = {
        **quiet(artifacts),
        "storage": {"custom": ours("OpenLineageDagsterStorage", wrapped)},
    }
    home = DagsterHome(folder, receiver.url, content=content)
    artifacts.mkdir(exist_ok=True)
    give_to_account(artifacts)
    folder.chmod(0o555)
    before = {path.name for path in folder.iterdir()}
    done = run_as_account(home, open_folder, without_home, root)
    assert done.returncode == 0, done.stdout + done.stderr
    check_delivered(home, receiver)
    assert {path.name for path in folder.iterdir()} == before
