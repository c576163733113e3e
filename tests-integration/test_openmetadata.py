"""Our events through OpenMetadata's own OpenLineage parser, in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from openlineage_dagster_core.settings import Settings
from recorded_run import converted
from warehouse_project import DEFINITIONS, HOST, JOB

Json = dict[str, Any]

PYTHON = os.environ.get("OPENMETADATA_PYTHON")
NO_OPENMETADATA = (
    "there is no OpenMetadata: nox -s 'backends(openmetadata)' brings its parser, or set "
    "OPENMETADATA_PYTHON to a Python with openmetadata-ingestion"
)
pytestmark = pytest.mark.skipif(not PYTHON, reason=NO_OPENMETADATA)

RAW, STAGING, MARTS = (
    f"warehouse.shop.{name}" for name in ("raw.orders", "staging.orders", "marts.revenue")
)
SERVICE = "dagster_openlineage"
NAMESPACES = {"kind:postgres": HOST}


def pipeline(job: str) -> str:
    name = f"dagster-{job}"
    return f'{SERVICE}."{name}"' if "." in name else f"{SERVICE}.{name}"


def parsed(events: list[Json], tables: tuple[str, ...] = (RAW, STAGING, MARTS)) -> Json:
    """Return what OpenMetadata's source makes of events: pipelines and edges."""
    assert PYTHON is not None
    process = subprocess.run(
        [PYTHON, str(Path(__file__).with_name("openmetadata_program.py"))],
        input=json.dumps({"events": events, "tables": tables}),
        capture_output=True,
        check=False,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    made: Json = json.loads(process.stdout)
    return made


def events_of(**options: Any) -> list[Json]:
    given = {"backend": "openmetadata", "dataset_namespaces": NAMESPACES, **options}
    return converted(DEFINITIONS, JOB, settings=Settings.from_options(given, {}))


@cache
def shown(options: str = "{}", tables: tuple[str, ...] = (RAW, STAGING, MARTS)) -> Json:
    """Return what it makes of a run with these options, which are JSON; it takes a while."""
    return parsed(events_of(**json.loads(options)), tables)


def edges(made: Json) -> set[tuple[str, str]]:
    return {(source, target) for source, target, _, _ in made["edges"]}


TABLES = {(RAW, STAGING), (STAGING, MARTS)}


def test_its_parser_draws_every_edge_between_tables_with_columns() -> None:
    made = shown()
    assert edges(made) >= TABLES
    last = {(source, target): rest for source, target, *rest in made["edges"]}
    assert last[RAW, STAGING] == [
        pipeline("staging/orders"),
        [[[f"{RAW}.amount"], f"{STAGING}.amount"]],
    ]
    assert last[STAGING, MARTS] == [
        pipeline("marts/revenue"),
        [[[f"{STAGING}.amount"], f"{MARTS}.total"]],
    ]


def test_its_parser_completes_with_complete_what_start_began() -> None:
    drawn = [columns for _, target, _, columns in shown()["edges"] if target == MARTS]
    assert drawn == [[], [[[f"{STAGING}.amount"], f"{MARTS}.total"]]]


@pytest.mark.parametrize("identity", ["physical", "asset"])
def test_its_parser_follows_symlinks_whatever_the_datasets_are_named_after(identity: str) -> None:
    options = {"dataset_identity": identity, "dataset_symlinks": True}
    assert shown(json.dumps(options))["edges"] == shown()["edges"]


def test_its_parser_finds_no_table_of_datasets_named_after_assets() -> None:
    assert shown('{"dataset_identity": "asset"}')["edges"] == []


def test_its_parser_makes_a_pipeline_of_every_asset_its_checks_and_the_dagster_job() -> None:
    made = shown()
    assert made["read"] == len(events_of())
    jobs = (JOB, "raw/orders", "staging/orders", "marts/revenue", "marts/revenue__checks", "report")
    assert {tuple(each) for each in made["pipelines"]} == {
        (SERVICE, f"dagster-{job}") for job in jobs
    }


def test_its_parser_makes_a_pipeline_of_every_step_where_assets_have_parents() -> None:
    made = shown('{"asset_run_parent": "step"}')
    steps = ("raw__orders", "staging__orders", "marts__revenue", "report")
    assert {name for _, name in made["pipelines"]} == {
        f"dagster-{JOB}",
        "dagster-marts/revenue__checks",
        *(f"dagster-{JOB}.{step}" for step in steps),
    }
    through = {(source, target): each for source, target, each, _ in made["edges"]}
    assert through[RAW, STAGING] == pipeline(f"{JOB}.staging__orders")


def test_its_parser_connects_a_table_with_the_pipelines_that_only_read_or_only_write_it() -> None:
    assert edges(shown()) - TABLES == {
        (pipeline("raw/orders"), RAW),
        (MARTS, pipeline("marts/revenue__checks")),
        # The report itself is a file, which is no table.
        (MARTS, pipeline("report")),
    }


def test_its_parser_draws_nothing_for_steps_and_jobs() -> None:
    assert shown('{"families": ["run", "step"]}')["edges"] == []


def test_its_parser_does_not_read_how_a_run_failed() -> None:
    events = events_of()
    for event in events:
        if event["eventType"] == "COMPLETE":
            event["eventType"] = "FAIL"
    assert parsed(events)["read"] == sum(event["eventType"] == "START" for event in events)


def test_its_parser_reads_an_observation_as_a_run_and_not_as_a_dataset_event() -> None:
    @dg.observable_source_asset(
        key=["raw", "orders"], metadata={"dagster/table_name": "shop.raw.orders"}
    )
    def orders() -> dg.DataVersion:
        return dg.DataVersion("1")

    defs = dg.Definitions(
        assets=[orders], jobs=[dg.define_asset_job("watch", selection="raw/orders")]
    )
    for kind, expected in (
        ("run", {(RAW, pipeline("raw/orders__observations"))}),
        ("dataset", set()),
    ):
        given = {
            "backend": "openmetadata",
            "dataset_namespaces": {"*": HOST},
            "families": ["observation"],
            "observation_events": kind,
        }
        events = converted(defs, "watch", settings=Settings.from_options(given, {}))
        assert edges(parsed(events)) == expected


def test_its_parser_draws_no_edge_of_a_table_that_it_does_not_know() -> None:
    found = edges(shown("{}", (RAW, STAGING)))
    assert (RAW, STAGING) in found
    assert MARTS not in {end for edge in found for end in edge}
