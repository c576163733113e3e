from pathlib import Path

import dagster as dg
import pytest
from dagster import AssetKey, DagsterEventType
from dagster._core.definitions.reconstruct import ReconstructableRepository

from openlineage_dagster_core.facts import executing
from openlineage_dagster_core.facts.model import Definitions
from recorded_run import execute

SOURCE = dg.AssetSpec("source", description="From elsewhere")


@dg.asset(deps=[SOURCE])
def fails() -> None:
    raise ValueError("at once")


@dg.asset(deps=[fails])
def never_runs() -> None: ...


@dg.asset
def of_another_job() -> None: ...


DEFINITIONS = dg.Definitions(
    assets=[
        SOURCE,
        fails,
        never_runs,
        of_another_job,
        dg.AssetSpec("dashboard", deps=["source", "of_another_job"]),
    ],
    executor=dg.in_process_executor,
    jobs=[
        dg.define_asset_job(
            "doomed", selection=["fails", "never_runs"], description="Bound to fail"
        )
    ],
)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Definitions]:
    """Look for definitions whenever RUN_START is logged."""
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
    return found


def test_while_run_start_is_logged_the_jobs_assets_are_found(found: list[Definitions]) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        execute(DEFINITIONS, "doomed", instance)
    [definitions] = found
    assets = definitions.assets
    assert assets[AssetKey("fails")].upstream == (AssetKey("source"),)
    assert assets[AssetKey("never_runs")].upstream == (AssetKey("fails"),)
    assert definitions.jobs["doomed"].description == "Bound to fail"
    assert assets[AssetKey("source")].description == "From elsewhere"


def test_of_a_part_of_a_job_that_part_is_found_with_all_external_assets(
    found: list[Definitions],
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        execute(DEFINITIONS, "doomed", instance, asset_selection=[AssetKey("never_runs")])
    [definitions] = found
    external = {AssetKey("source"), AssetKey("dashboard")}
    assert set(definitions.assets) == {AssetKey("never_runs"), AssetKey("fails"), *external}


def test_of_very_many_external_assets_those_with_dependencies_are_found(
    found: list[Definitions], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executing, "MANY_EXTERNAL", 1)
    with dg.DagsterInstance.ephemeral() as instance:
        execute(DEFINITIONS, "doomed", instance, asset_selection=[AssetKey("never_runs")])
    [definitions] = found
    assert set(definitions.assets) == set(map(AssetKey, ("never_runs", "fails", "dashboard")))


def test_a_process_that_knows_the_code_location_finds_what_external_assets_depend_on(
    found: list[Definitions], tmp_path: Path
) -> None:
    repository = ReconstructableRepository.for_file(__file__, "DEFINITIONS")
    job = repository.get_reconstructable_job("doomed")
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        dg.execute_job(job, instance)
    [definitions] = found
    dashboard = definitions.assets[AssetKey("dashboard")]
    assert dashboard.upstream == (AssetKey("of_another_job"), AssetKey("source"))
    assert AssetKey("never_runs") in definitions.assets
    assert AssetKey("of_another_job") not in definitions.assets, "its own job keeps it"


def test_elsewhere_nothing_is_found() -> None:
    assert executing.executing_definitions() is None
