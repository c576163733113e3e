"""A run that starts keeps its definitions, with little work where they are known already."""

from collections.abc import Iterator
from dataclasses import replace

import dagster as dg
import pytest
from dagster import AssetKey
from dagster._core.definitions.job_base import InMemoryJob, RepoBackedJob
from dagster._core.execution.api import execute_run
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin

from log_entries import counted_queries, run_event
from openlineage_dagster_core.facts.model import (
    AssetFacts,
    CheckFacts,
    Definitions,
    JobFacts,
    KnownRun,
    OutsideParent,
    StepFacts,
)
from openlineage_dagster_core.key_values import KeyValues
from openlineage_dagster_core.settings import Settings
from openlineage_dagster_core.snapshots import writing
from openlineage_dagster_core.snapshots.definitions_codec import decode_asset
from openlineage_dagster_core.snapshots.history import EPOCH_ROW, History, asset_row
from openlineage_dagster_core.snapshots.process_facts import found, run_row
from openlineage_dagster_core.snapshots.reading import KeptDefinitions
from openlineage_dagster_core.snapshots.writing import (
    keep_definitions,
    keep_process_facts,
    keep_snapshot,
)
from recorded_run import check_runs, converted_instance, names, one

RUN_ID = "0199a1b2-0000-7000-8000-000000000001"
PARENT_ID = "01890000-0000-7000-8000-000000000002"
START = 1.8e9
ORDERS = AssetFacts(AssetKey("orders"), upstream=(AssetKey("raw"),), description="first")
STOCK = AssetFacts(AssetKey("stock"), description="first")
JOB = JobFacts(description="first", steps={"s": StepFacts("text")})


def definitions(*assets: AssetFacts, job: JobFacts | None = JOB) -> Definitions:
    jobs = {"nightly": job} if job is not None else {}
    return Definitions({asset.key: asset for asset in assets}, jobs)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp() as made:
        yield made


def asset_at(instance: dg.DagsterInstance, asset: AssetFacts, at: float) -> AssetFacts | None:
    row = asset_row(asset.key.path)
    history = History.from_text(KeyValues(instance).get_long([row]).get(row))
    digest = history.at(at)
    return decode_asset(history.text(digest)) if digest is not None else None


def epoch(instance: dg.DagsterInstance) -> str | None:
    return KeyValues(instance).get([EPOCH_ROW]).get(EPOCH_ROW)


def test_each_version_of_an_asset_is_kept_with_the_time_of_the_run(
    instance: dg.DagsterInstance,
) -> None:
    changed = replace(ORDERS, description="second")
    for at, asset in ((1.0, ORDERS), (2.0, ORDERS), (3.0, changed), (4.0, ORDERS)):
        keep_definitions(KeyValues(instance), "nightly", definitions(asset, STOCK), at)
    found = [asset_at(instance, ORDERS, at) for at in (1.0, 2.5, 3.5, 4.5)]
    assert found == [ORDERS, ORDERS, changed, ORDERS]
    assert asset_at(instance, STOCK, 9.0) == STOCK


def test_what_has_not_changed_is_one_query(instance: dg.DagsterInstance) -> None:
    known = definitions(ORDERS, STOCK)
    keep_definitions(KeyValues(instance), "nightly", known, 1.0)
    for selected in (known, definitions(ORDERS), known, definitions(ORDERS)):
        keep_definitions(KeyValues(instance), "nightly", selected, 2.0)
    before = epoch(instance)
    with counted_queries() as queries:
        keep_definitions(KeyValues(instance), "nightly", known, 3.0)
        keep_definitions(KeyValues(instance), "nightly", definitions(ORDERS), 4.0)
    assert len(queries) == 2
    assert epoch(instance) == before


def test_readers_learn_of_each_change(instance: dg.DagsterInstance) -> None:
    seen = [epoch(instance)]
    for at, known in enumerate(
        [
            definitions(ORDERS),
            definitions(replace(ORDERS, description="second")),
            definitions(replace(ORDERS, description="second"), STOCK),
            definitions(STOCK, job=replace(JOB, description="second")),
            definitions(job=replace(JOB, description="third")),
        ]
    ):
        keep_definitions(KeyValues(instance), "nightly", known, float(at))
        seen.append(epoch(instance))
    assert len(set(seen)) == len(seen)
    keep_definitions(KeyValues(instance), "another", Definitions(jobs={"another": JOB}), 9.0)
    assert epoch(instance) not in seen, "of a job without assets, too"


def test_a_version_that_another_job_has_replaced_is_kept_again(
    instance: dg.DagsterInstance,
) -> None:
    """Two code locations with different versions of one asset take turns."""
    changed = replace(ORDERS, description="second")
    for at, job, asset in (
        (1.0, "nightly", ORDERS),
        (2.0, "hourly", changed),
        (3.0, "nightly", ORDERS),
        (4.0, "hourly", changed),
    ):
        keep_definitions(KeyValues(instance), job, Definitions({asset.key: asset}), at)
    found = [asset_at(instance, ORDERS, at) for at in (1.5, 2.5, 3.5, 4.5)]
    assert found == [ORDERS, changed, ORDERS, changed]


def test_a_run_without_definitions_changes_nothing_that_is_kept(
    instance: dg.DagsterInstance,
) -> None:
    keep_definitions(KeyValues(instance), "nightly", definitions(ORDERS), 1.0)
    keep_definitions(KeyValues(instance), "nightly", Definitions(), 2.0)
    assert asset_at(instance, ORDERS, 3.0) == ORDERS


def test_selections_that_are_known_are_few(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "SELECTIONS_KEPT", 2)
    many = [AssetFacts(AssetKey(str(number))) for number in range(5)]
    keep_definitions(KeyValues(instance), "nightly", definitions(*many), 1.0)
    for asset in many:
        keep_definitions(KeyValues(instance), "nightly", definitions(asset), 2.0)
    for asset, is_known in ((many[0], False), (many[4], True)):
        with counted_queries() as queries:
            keep_definitions(KeyValues(instance), "nightly", definitions(asset), 3.0)
        assert (len(queries) == 1) == is_known


def test_many_wide_assets_are_kept(instance: dg.DagsterInstance) -> None:
    columns = [dg.TableColumn(f"column_{number}", description="x" * 50) for number in range(300)]
    wide = [
        AssetFacts(AssetKey(str(number)), columns=dg.TableSchema(columns)) for number in range(70)
    ]
    keep_definitions(KeyValues(instance), "nightly", definitions(*wide), 1.0)
    assert asset_at(instance, wide[69], 2.0) == wide[69]


def test_what_a_process_adds_is_kept_by_its_run(instance: dg.DagsterInstance) -> None:
    facts = Definitions(environment={"STAGE": "prod"})
    keep_process_facts(KeyValues(instance), "run", facts)
    keep_process_facts(KeyValues(instance), "silent", Definitions())
    rows = KeyValues(instance).get([run_row("run"), run_row("silent")])
    assert found(rows.get(run_row("run")), "run") == facts
    assert run_row("silent") not in rows


NAMED = AssetFacts(AssetKey("orders"), is_materializable=False, is_external=True, is_stub=True)
SPEC = replace(NAMED, is_stub=False, description="a spec", group="outside")
NEW_SPEC = replace(SPEC, description="another spec")


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param([NAMED, ORDERS, NAMED], [NAMED, ORDERS, ORDERS], id="made, not a stub"),
        pytest.param([NAMED, SPEC, NAMED], [NAMED, SPEC, SPEC], id="a spec, not a stub"),
        pytest.param([SPEC, ORDERS, SPEC], [SPEC, ORDERS, ORDERS], id="made, not a spec"),
        pytest.param([SPEC, NEW_SPEC, SPEC], [SPEC, NEW_SPEC, SPEC], id="the newer spec"),
    ],
)
@pytest.mark.parametrize("origins", [("a", "b", "c"), (None, None, None), ("a", "b", None)])
def test_of_two_code_locations_the_one_that_knows_more_of_an_asset_defines_it(
    instance: dg.DagsterInstance,
    told: list[AssetFacts],
    expected: list[AssetFacts],
    origins: tuple[str | None, ...],
) -> None:
    for at, (asset, origin) in enumerate(zip(told, origins, strict=True), start=1):
        known = replace(definitions(asset), origin=origin)
        keep_definitions(KeyValues(instance), f"job {at}", known, float(at))
    assert [asset_at(instance, ORDERS, at) for at in (1.5, 2.5, 3.5)] == expected


def test_a_code_location_that_makes_an_asset_no_more_has_the_last_word_on_it(
    instance: dg.DagsterInstance,
) -> None:
    for at, (asset, origin) in enumerate(
        [
            (ORDERS, None),
            (ORDERS, "a"),
            (replace(ORDERS, description="run by hand"), None),
            (NEW_SPEC, "b"),
            (SPEC, "a"),
            (NAMED, "b"),
            (NAMED, "a"),
        ]
    ):
        known = replace(definitions(asset), origin=origin)
        keep_definitions(KeyValues(instance), f"job {at}", known, float(at))
    found = [asset_at(instance, ORDERS, at + 0.5) for at in (3.0, 4.0, 5.0, 6.0)]
    assert found == [replace(ORDERS, description="run by hand"), SPEC, SPEC, NAMED]


def test_code_locations_that_say_the_same_of_an_asset_write_once(
    instance: dg.DagsterInstance,
) -> None:
    seen = []
    for at, origin in enumerate(["a", "b", "a", "b"]):
        known = replace(definitions(ORDERS), origin=origin)
        keep_definitions(KeyValues(instance), "nightly", known, float(at))
        seen.append(epoch(instance))
    assert len(set(seen)) == 1


def test_checks_of_another_code_location_are_kept_with_the_asset(
    instance: dg.DagsterInstance,
) -> None:
    own = {"unique": CheckFacts(description="Own")}
    others = {"agrees": CheckFacts(reads=(AssetKey("stock"),))}
    seen = []
    for at, (asset, origin) in enumerate(
        [(replace(ORDERS, checks=own), "a"), (replace(NAMED, checks=others), "b")] * 2
    ):
        known = replace(definitions(asset), origin=origin)
        keep_definitions(KeyValues(instance), f"job {origin}", known, float(at))
        seen.append(epoch(instance))
    assert asset_at(instance, ORDERS, 9.0) == replace(ORDERS, checks={**others, **own})
    assert len(set(seen[1:])) == 1, "they do not take turns"


def test_a_definition_that_cannot_be_read_is_replaced(instance: dg.DagsterInstance) -> None:
    history = History()
    history.add(1.0, '{"invented": "later"}')
    KeyValues(instance).put_long({asset_row(ORDERS.key.path): history.to_text()})
    keep_definitions(KeyValues(instance), "nightly", definitions(NAMED), 2.0)
    assert asset_at(instance, ORDERS, 3.0) == NAMED


@dg.asset
def raw() -> None: ...


@dg.asset(deps=[raw], description="Orders")
def orders() -> None: ...


def start() -> dg.EventLogEntry:
    return run_event(RUN_ID, START, dg.DagsterEventType.RUN_START)


def kept_of(instance: dg.DagsterInstance) -> Definitions:
    return KeptDefinitions(lambda: instance).of_run(RUN_ID, "j", START)


def test_the_parent_and_the_variables_of_the_process_are_kept(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", f"ns/job/{PARENT_ID}")
    monkeypatch.setenv("STAGE", "prod")
    monkeypatch.setenv("PASSWORD_OF_OURS", "a-secret")
    settings = replace(Settings(), environment_variables=("STAGE",))
    keep_snapshot(instance, start(), settings)
    found = kept_of(instance)
    assert found.parent == OutsideParent(KnownRun("ns", "job", PARENT_ID))
    assert found.environment == {"STAGE": "prod"}
    assert not found.is_disabled


def test_of_a_process_that_is_disabled_nothing_else_is_kept(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", f"ns/job/{PARENT_ID}")
    monkeypatch.setattr(
        writing, "executing_definitions", lambda *_: pytest.fail("it looks for definitions")
    )
    keep_snapshot(instance, start(), Settings())
    found = kept_of(instance)
    assert found.is_disabled
    assert found.parent is None


def test_outside_an_executing_process_there_are_no_definitions(
    instance: dg.DagsterInstance,
) -> None:
    keep_snapshot(instance, start(), Settings())
    assert kept_of(instance).jobs == {}
    assert AssetKey("orders") not in kept_of(instance).assets


@pytest.fixture
def keeping_instance(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> dg.DagsterInstance:
    """Keep snapshots as the storage does: in `store_event`, in the process that runs the job."""
    storage = instance.event_log_storage
    store_event = storage.store_event

    def storing(event: dg.EventLogEntry) -> None:
        if event.dagster_event_type is dg.DagsterEventType.RUN_START:
            keep_snapshot(instance, event, Settings(source_code_bytes=1000))
        store_event(event)

    monkeypatch.setattr(storage, "store_event", storing)
    return instance


def test_the_definitions_of_the_executing_job_are_kept(
    keeping_instance: dg.DagsterInstance,
) -> None:
    job = dg.define_asset_job("nightly", description="At night")
    definitions = dg.Definitions([raw, orders], jobs=[job])
    result = (
        definitions.get_repository_def()
        .get_job("nightly")
        .execute_in_process(instance=keeping_instance, run_id=RUN_ID)
    )
    assert result.success
    [record] = keeping_instance.get_run_records()
    assert record.start_time is not None
    found = KeptDefinitions(lambda: keeping_instance).of_run(RUN_ID, "nightly", record.start_time)
    assert found.assets[AssetKey("orders")].upstream == (AssetKey("raw"),)
    assert found.assets[AssetKey("orders")].description == "Orders"
    text = found.assets[AssetKey("orders")].source_text
    assert text == '@dg.asset(deps=[raw], description="Orders")\ndef orders() -> None: ...\n'
    assert found.jobs["nightly"].description == "At night"


def test_the_assets_of_a_run_that_never_started_are_those_of_earlier_runs(
    keeping_instance: dg.DagsterInstance,
) -> None:
    jobs = [dg.define_asset_job(name) for name in ("nightly", "by_hand")]
    repository = dg.Definitions([raw, orders], jobs=jobs).get_repository_def()
    repository.get_job("nightly").execute_in_process(instance=keeping_instance)
    run = keeping_instance.create_run_for_job(repository.get_job("by_hand"), run_id=RUN_ID)
    keeping_instance.report_run_failed(run, "Could not launch")
    records = keeping_instance.get_records_for_run(RUN_ID).records

    events = converted_instance(
        keeping_instance,
        [record.event_log_entry for record in records],
        KeptDefinitions(lambda: keeping_instance),
    )

    check_runs(events)
    failed = one(events, "orders", "FAIL")
    assert names(failed["inputs"]) == ["raw"]
    assert "Could not launch" in failed["run"]["facets"]["errorMessage"]["message"]


@dg.asset(deps=["ext"])
def reads_ext() -> None: ...


@dg.asset
def once_made() -> None: ...


def test_a_spec_keeps_its_words_where_another_code_location_depends_on_it(
    keeping_instance: dg.DagsterInstance,
) -> None:
    columns = dg.TableSchema([dg.TableColumn("id", "int")])
    described = dg.AssetSpec(
        "ext", deps=["src"], group_name="outside", metadata={"dagster/column_schema": columns}
    )
    for assets in ([raw, described], [reads_ext]):
        repository = dg.Definitions(assets, jobs=[dg.define_asset_job("all")]).get_repository_def()
        repository.get_job("all").execute_in_process(instance=keeping_instance)
    for job in ("all", "of no run"):
        found = KeptDefinitions(lambda: keeping_instance).of_run(RUN_ID, job, 4e9)
        ext = found.assets[AssetKey("ext")]
        assert (ext.upstream, ext.group, ext.columns) == ((AssetKey("src"),), "outside", columns)


def test_an_asset_that_is_not_made_any_more_has_the_words_of_its_spec(
    keeping_instance: dg.DagsterInstance,
) -> None:
    """Although no run of the code location plans it or reads it."""
    location = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "shop")
    spec = dg.AssetSpec("once_made", description="From elsewhere")
    for made in (once_made, spec):
        jobs = [dg.define_asset_job("all")]
        repository = dg.Definitions(
            [raw, made], jobs=jobs, executor=dg.in_process_executor
        ).get_repository_def()
        job = repository.get_job("all")
        run = keeping_instance.create_run_for_job(
            job, remote_job_origin=location.get_job_origin("all")
        )
        assert execute_run(InMemoryJob(job), run, keeping_instance).success
    found = KeptDefinitions(lambda: keeping_instance).of_run(RUN_ID, "all", 4e9)
    assert found.assets[AssetKey("once_made")].description == "From elsewhere"
    assert found.assets[AssetKey("once_made")].is_external


@dg.asset(deps=[orders])
def report() -> None: ...


@dg.asset(deps=[report])
def tail() -> None: ...


@dg.op
def does_nothing() -> None: ...


@dg.job(name="report", executor_def=dg.in_process_executor)
def like_another_asset() -> None:
    does_nothing()


def test_the_name_of_a_job_does_not_depend_on_what_a_run_of_it_plans(
    keeping_instance: dg.DagsterInstance,
) -> None:
    """The first run plans no asset near the one that has the name of the job."""
    jobs = [
        dg.define_asset_job("orders", selection=dg.AssetSelection.all()),
        dg.define_asset_job("nightly"),
    ]
    repository = dg.Definitions([raw, orders, report, tail], jobs=jobs).get_repository_def()
    for name, expected in (("orders", "orders__run"), ("nightly", "nightly")):
        for selected in ([tail.key], [raw.key], None):
            result = repository.get_job(name).execute_in_process(
                instance=keeping_instance, asset_selection=selected
            )
            assert run_names(keeping_instance, result.run_id) == {expected}


def test_a_job_without_assets_is_told_from_the_asset_of_its_name(
    keeping_instance: dg.DagsterInstance,
) -> None:
    repository = dg.Definitions([report], jobs=[like_another_asset]).get_repository_def()
    run = keeping_instance.create_run_for_job(repository.get_job("report"))
    execute_run(RepoBackedJob("report", repository), run, keeping_instance)
    assert run_names(keeping_instance, run.run_id) == {"report__run"}


def run_names(instance: dg.DagsterInstance, run_id: str) -> set[str]:
    """Return the names of the jobs of a Dagster run's own events."""
    records = instance.get_records_for_run(run_id).records
    events = converted_instance(
        instance,
        [record.event_log_entry for record in records],
        KeptDefinitions(lambda: instance),
    )
    return {event["job"]["name"] for event in events if event["run"]["runId"] == run_id}
