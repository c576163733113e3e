import dagster as dg
import pytest
from dagster import AssetKey, DagsterEventType

from openlineage_dagster_core.facts import executing
from recorded_run import execute

SOURCE = dg.AssetSpec("source", description="From elsewhere")


@dg.asset(deps=[SOURCE])
def fails() -> None:
    raise ValueError("at once")


@dg.asset(deps=[fails])
def never_runs() -> None: ...


DEFINITIONS = dg.Definitions(
    assets=[SOURCE, fails, never_runs],
    jobs=[
        dg.define_asset_job(
            "doomed", selection=["fails", "never_runs"], description="Bound to fail"
        )
    ],
)


def test_while_run_start_is_logged_the_jobs_assets_are_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = []

    def handle_new_event(
        self: dg.DagsterInstance, event: dg.EventLogEntry, **options: object
    ) -> None:
        if event.dagster_event_type is DagsterEventType.RUN_START:
            definitions = executing.executing_definitions()
            assert definitions is not None
            found.append(definitions)
        original(self, event, **options)

    original = dg.DagsterInstance.handle_new_event
    monkeypatch.setattr(dg.DagsterInstance, "handle_new_event", handle_new_event)
    with dg.DagsterInstance.ephemeral() as instance:
        execute(DEFINITIONS, "doomed", instance)
    [definitions] = found
    assets = definitions.assets
    assert assets[AssetKey("fails")].upstream == (AssetKey("source"),)
    assert assets[AssetKey("never_runs")].upstream == (AssetKey("fails"),)
    assert definitions.jobs["doomed"].description == "Bound to fail"
    assert assets[AssetKey("source")].description == "From elsewhere"


def test_of_a_part_of_a_job_only_that_part_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []

    def handle_new_event(
        self: dg.DagsterInstance, event: dg.EventLogEntry, **options: object
    ) -> None:
        if event.dagster_event_type is DagsterEventType.RUN_START:
            found.append(executing.executing_definitions())
        original(self, event, **options)

    original = dg.DagsterInstance.handle_new_event
    monkeypatch.setattr(dg.DagsterInstance, "handle_new_event", handle_new_event)
    with dg.DagsterInstance.ephemeral() as instance:
        execute(DEFINITIONS, "doomed", instance, asset_selection=[AssetKey("never_runs")])
    [definitions] = found
    assert definitions is not None
    assert set(definitions.assets) == {AssetKey("never_runs"), AssetKey("fails")}


def test_elsewhere_nothing_is_found() -> None:
    assert executing.executing_definitions() is None
