from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from openlineage_dagster_core.cli.doctor import backends
from openlineage_dagster_core.cli.doctor.finding import Finding, Status
from openlineage_dagster_core.cli.doctor.subject import Subject
from openlineage_dagster_core.delivery.configured import Destination
from openlineage_dagster_core.settings import Settings


def found(kind: str = "http", **options: Any) -> list[Finding]:
    settings = Settings.from_options(options, {})
    storage = SimpleNamespace(openlineage_mechanism="storage", settings=settings)
    instance: Any = SimpleNamespace(event_log_storage=storage)
    subject = Subject({}, instance=instance)
    return list(backends.check(subject, [Destination("", {"type": kind})]))


def test_it_shows_what_a_preset_sets_and_what_the_user_set_instead() -> None:
    sets, own = found(backend="data-rentgen", observation_events="dataset")
    assert sets.message == "data-rentgen sets run_ids = sortable"
    assert own.status is Status.NOTE
    assert own.message == (
        "data-rentgen would set observation_events = run, but your own observation_events counts"
    )


def test_it_says_that_a_preset_may_be_the_defaults() -> None:
    [only] = found(backend="marquez")
    assert only.message == "marquez sets nothing that is not the default"


@pytest.mark.parametrize("kind", ["gcplineage", "amazon_datazone_api"])
def test_it_finds_a_transport_that_drops_observations(kind: str) -> None:
    [only] = found(kind)
    assert only.status is Status.WARNING
    assert kind in only.message
    assert "observation_events: run" in str(only.remedy)
    assert found(kind, observation_events="run") == []
    assert found(kind, families=["asset"]) == []


def test_it_says_nothing_of_other_transports_and_of_options_that_are_not_known() -> None:
    assert found() == []
    assert list(backends.check(Subject({}), [Destination("", {"type": "gcplineage"})])) == []
