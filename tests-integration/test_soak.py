"""The soak, for a short time; and its reconciliation fails where it must."""

import copy
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
import requests

from delivered import Json, expected_events
from orders_project import DEFINITIONS
from receiver import Receiver
from recorded_run import execute
from soak.arrivals import Arrivals
from soak.faults import BACKEND_FAULTS, KINDS, heal
from soak.reconciliation import Reconciliation, reconcile

PLACES = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "testing")]
EXAMPLES = str(Path(__file__).parents[1] / "docs" / "examples")


@pytest.mark.parametrize("mechanism", ["storage", "sensor"])
def test_everything_arrives_whatever_goes_wrong(tmp_path: Path, mechanism: str) -> None:
    command = [sys.executable, "-m", "soak", "--minutes", "0.2", "--workers", "1"]
    soak = subprocess.run(
        [*command, "--mechanism", mechanism, "--output", str(tmp_path / "soak")],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([*PLACES, EXAMPLES]),
            "PYTHONWARNINGS": "ignore",
            "COLUMNS": "120",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert soak.returncode == 0, soak.stdout
    for kind in KINDS:
        assert re.search(f"{kind} [1-9]", soak.stdout), soak.stdout


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    """Two runs, one of which fails, and what was reported from outside."""
    with dg.DagsterInstance.ephemeral() as instance:
        for job in ("nightly", "doomed"):
            execute(DEFINITIONS, job, instance)
        for asset in ("warehouse", "warehouse", "shop"):
            instance.report_runless_asset_event(dg.AssetMaterialization(asset))
        yield instance


@pytest.fixture
def sent(instance: dg.DagsterInstance) -> list[Json]:
    """What a backend should get."""
    runs = [run.run_id for run in instance.get_runs()]
    return [
        event
        for run_id in ["", *runs]
        for event in copy.deepcopy(expected_events(instance, run_id, DEFINITIONS))
    ]


def compared(instance: dg.DagsterInstance, sent: list[Json], folder: Path) -> Reconciliation:
    arrivals = Arrivals(folder / "events.jsonl")
    for event in sent:
        arrivals.keep(event)
    result = reconcile(instance, arrivals, DEFINITIONS, DEFINITIONS)
    arrivals.close()
    return result


def test_all_that_came_as_it_should_is_exact_also_with_repeats(
    instance: dg.DagsterInstance, sent: list[Json], tmp_path: Path
) -> None:
    result = compared(instance, [*sent[:9], *sent[4:]], tmp_path)
    assert result.is_exact, result.differences
    assert (result.expected, result.arrived, result.repeated) == (len(sent), len(sent) + 5, 5)


def test_every_event_that_is_dropped_is_missing(
    instance: dg.DagsterInstance, sent: list[Json], tmp_path: Path
) -> None:
    for position, event in enumerate(sent):
        result = compared(instance, sent[:position] + sent[position + 1 :], tmp_path)
        assert (result.missing, result.different, result.unexpected) == (1, 0, 0)
        [difference] = result.differences
        assert difference.event.startswith(f"{event['eventType']} {event['job']['name']}")
        assert difference.found == "nothing"


def without_a_facet(event: Json) -> None:
    del event["job"]["facets"]["jobType"]


def with_another_input(event: Json) -> None:
    event["inputs"] = [*event["inputs"], *event["outputs"]]


def later(event: Json) -> None:
    event["eventTime"] = "2026-01-05T03:00:00Z"


def with_other_text(event: Json) -> None:
    event["run"]["facets"]["processing_engine"]["name"] = "other"


@pytest.mark.parametrize("alter", [without_a_facet, with_another_input, later, with_other_text])
def test_an_event_that_is_altered_is_different(
    instance: dg.DagsterInstance, sent: list[Json], tmp_path: Path, alter: Callable[[Json], None]
) -> None:
    alterable = 0
    for position, event in enumerate(sent):
        altered = copy.deepcopy(event)
        alter(altered)
        if altered == event:
            continue
        alterable += 1
        events = [*sent[:position], altered, *sent[position + 1 :]]
        result = compared(instance, events, tmp_path)
        assert (result.missing, result.different, result.unexpected) == (0, 1, 0)
        assert result.differences[0].expected != result.differences[0].found
    assert alterable > len(sent) / 3


def test_an_event_that_also_comes_altered_is_not_in_the_log(
    instance: dg.DagsterInstance, sent: list[Json], tmp_path: Path
) -> None:
    altered = copy.deepcopy(sent[-1])
    without_a_facet(altered)
    result = compared(instance, [*sent, altered], tmp_path)
    assert (result.missing, result.different, result.unexpected) == (0, 0, 1)


def test_events_of_a_job_that_change_places_are_out_of_order(
    instance: dg.DagsterInstance, sent: list[Json], tmp_path: Path
) -> None:
    for job in ("warehouse", "nightly", "fails"):
        first, second, *_ = [
            position for position, event in enumerate(sent) if event["job"]["name"] == job
        ]
        events = list(sent)
        events[first], events[second] = events[second], events[first]
        assert compared(instance, events, tmp_path).disordered >= 1, job
    # Runs have no order among each other here.
    assert compared(instance, sent[::-1], tmp_path).disordered > 2
    assert compared(instance, [*sent[6:], *sent[:6]], tmp_path).is_exact


def test_events_of_a_run_that_the_instance_does_not_know_are_not_in_the_log(
    instance: dg.DagsterInstance, sent: list[Json], tmp_path: Path
) -> None:
    with dg.DagsterInstance.ephemeral() as other:
        run_id = execute(DEFINITIONS, "tenant", other).run_id
        strangers = expected_events(other, run_id, DEFINITIONS)
    result = compared(instance, [*sent, *strangers], tmp_path)
    assert result.unexpected == len(strangers)
    assert not result.is_exact


def test_a_backend_is_well_again_after_every_fault(receiver: Receiver) -> None:
    event = {"job": {"name": "any"}}
    for fault in BACKEND_FAULTS:
        fault.begin(receiver, random.Random(1))
        heal(receiver)
        assert requests.post(receiver.url, json=event, timeout=10).status_code == 201
    receiver.events.clear()
