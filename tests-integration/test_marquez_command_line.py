"""The command line and a real Marquez: what is sent again, read back, compared and drawn."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dagster_home import DagsterHome
from delivery import wait_until_delivered
from graph_of_marquez import graph_of_marquez
from marquez import Marquez, namespace_of_its_own
from openlineage_dagster_core.cli.graph.from_marquez import lineage_of_marquez
from recorded_run import execute
from shop.definitions import defs as shop

COMMAND = (sys.executable, "-m", "openlineage_dagster_core.cli")
SECONDS = 120.0


@dataclass(frozen=True)
class Sent:
    """A run of the shop that Mechanism A has sent to Marquez.

    Args:
        home: of Dagster.
        namespace: of jobs and datasets.
        run_id: of the run.
        url: Marquez's.
    """

    home: DagsterHome
    namespace: str
    run_id: str
    url: str

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if "OPENLINEAGE" not in name}
        return subprocess.run(
            [*COMMAND, *arguments],
            env={**kept, "OPENLINEAGE_URL": self.url, "DAGSTER_HOME": str(self.home.path)},
            cwd=self.home.path,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def sent(marquez: Marquez, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sent]:
    path = tmp_path_factory.mktemp("shop")
    with namespace_of_its_own(marquez) as namespace, pytest.MonkeyPatch.context() as environment:
        environment.setenv("OPENLINEAGE_URL", marquez.url)
        home = DagsterHome(path / "home", None, options={"namespace": namespace})
        with home.instance() as instance:
            run_id = execute(shop, "nightly", instance, partition_key="2026-01-05").run_id
            wait_until_delivered(instance, SECONDS)
        yield Sent(home, namespace, run_id, marquez.url)


def picture(marquez: Marquez, namespace: str) -> dict[str, Any]:
    """All that a replay could change."""
    return {
        "graph": graph_of_marquez(marquez, [namespace]),
        "runs": {job: marquez.runs(namespace, job) for job in marquez.jobs(namespace)},
        "jobs": {job: marquez.job_versions(namespace, job) for job in marquez.jobs(namespace)},
        "datasets": {
            name: marquez.dataset_versions(namespace, name) for name in marquez.datasets(namespace)
        },
    }


def test_what_is_replayed_twice_changes_nothing(marquez: Marquez, sent: Sent) -> None:
    before = picture(marquez, sent.namespace)
    for _ in range(2):
        done = sent.command("replay", "--run", sent.run_id)
        assert (done.returncode, done.stderr) == (0, "")
        assert picture(marquez, sent.namespace) == before


def test_nothing_of_a_run_differs_from_what_it_shows(sent: Sent) -> None:
    done = sent.command("show", sent.run_id, "--diff", sent.url)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "none differs" in done.stdout


def test_the_test_event_of_the_doctor_is_read_back(sent: Sent) -> None:
    done = sent.command("doctor", "--send")
    assert "is a Marquez and answers" in done.stdout
    assert "Marquez shows its run, COMPLETED" in done.stdout
    assert done.returncode in (0, 1), done.stdout


def test_the_page_has_the_graph_that_it_shows(marquez: Marquez, sent: Sent, tmp_path: Path) -> None:
    shown = graph_of_marquez(marquez, [sent.namespace])
    drawn = lineage_of_marquez(sent.url)
    ours = {name for name in drawn.datasets if name[0] == sent.namespace}
    assert {pair for pair in drawn.reads if pair[0] in ours} == shown.reads
    assert {pair for pair in drawn.writes if pair[1] in ours} == shown.writes
    assert {pair for pair in drawn.columns if pair[1][0] in ours} == shown.columns
    page = tmp_path / "lineage.html"
    done = sent.command("graph", sent.url, "-o", str(page))
    assert done.returncode == 0, done.stderr
    assert "marts/revenue" in page.read_text()
