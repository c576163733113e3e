"""What a process reads of the step that started it."""

import json
import logging
import os
import subprocess
import sys
from typing import Any, ClassVar

import pytest
from dagster_pipes import PipesContext

from openlineage_dagster_core.child import PIPES_EXTRA, parent_run_facet

RUN_ID = "0199a1b2-0000-7000-8000-00000000000a"
ROOT_ID = "0199a1b2-0000-7000-8000-00000000000b"
PARENT = {"run": {"runId": RUN_ID}, "job": {"namespace": "dagster", "name": "raw/orders"}}
ROOT = {"run": {"runId": ROOT_ID}, "job": {"namespace": "airflow", "name": "dag"}}


def in_environment(context: object) -> dict[str, str]:
    return {"OPENLINEAGE_CONTEXT": json.dumps(context)}


def test_without_a_context_there_is_no_facet() -> None:
    assert parent_run_facet({}) is None
    assert parent_run_facet({"OPENLINEAGE_CONTEXT": ""}) is None


@pytest.mark.parametrize(
    ("context", "root_id"),
    [
        ({"parent": PARENT, "root": ROOT}, ROOT_ID),
        ({"parent": {**PARENT, "root": ROOT}}, ROOT_ID),
        ({"parent": PARENT}, RUN_ID),
    ],
)
def test_the_environment_names_parent_and_root(context: object, root_id: str) -> None:
    facet = parent_run_facet(in_environment(context))
    assert facet is not None
    assert facet.run.runId == RUN_ID
    assert (facet.job.namespace, facet.job.name) == ("dagster", "raw/orders")
    assert facet.root is not None
    assert facet.root.run.runId == root_id


@pytest.mark.parametrize(
    "text",
    ["{", "[1]", '"text"', '{"parent": 1}']
    + [json.dumps({"parent": {**PARENT, "run": {"runId": wrong}}}) for wrong in ("x", None, 1)],
)
def test_what_is_not_well_formed_is_logged(text: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert parent_run_facet({"OPENLINEAGE_CONTEXT": text}) is None
    assert "names no parent run" in caplog.text


def test_the_pipes_context_wins_once_it_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    class Opened:
        extras: ClassVar[Any] = {PIPES_EXTRA: {"parent": PARENT}}

    monkeypatch.setattr(PipesContext, "_instance", Opened())
    other = in_environment({"parent": ROOT})
    facet = parent_run_facet(other)
    assert facet is not None
    assert facet.run.runId == RUN_ID
    monkeypatch.setattr(Opened, "extras", {})
    facet = parent_run_facet(other)
    assert facet is not None
    assert facet.run.runId == ROOT_ID


def test_it_needs_neither_dagster_nor_a_pipes_context() -> None:
    program = (
        "import sys; from dagster_openlineage import parent_run_facet; "
        "assert parent_run_facet().run.runId; "
        "assert not {'dagster', 'dagster_pipes', 'sqlalchemy'} & sys.modules.keys()"
    )
    environ = {**os.environ, **in_environment({"parent": PARENT})}
    subprocess.run([sys.executable, "-c", program], env=environ, check=True)
