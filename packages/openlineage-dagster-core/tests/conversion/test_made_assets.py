"""What integrations say when they materialize: in every event of the run, and in its readers'."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import pytest
from dagster import AssetKey

from openlineage_dagster_core.facts.definitions import DefinedAssets
from openlineage_dagster_core.facts.model import Definitions
from openlineage_dagster_core.key_values import KeyValues
from openlineage_dagster_core.settings import Settings
from openlineage_dagster_core.snapshots.reading import KeptDefinitions
from openlineage_dagster_core.snapshots.writing import keep_definitions
from recorded_run import check_runs, converted, converted_instance, execute, one

Json = dict[str, Any]

PHYSICAL = Settings.from_options(
    {"dataset_identity": "physical", "dataset_namespaces": {"*": "postgres://host:5432"}}, {}
)


def columns(**types: str) -> dg.TableSchema:
    return dg.TableSchema([dg.TableColumn(name, kind) for name, kind in types.items()])


DESCRIBED = dg.TableSchema([dg.TableColumn("id", "?", "The key")])


@dg.multi_asset(
    specs=[
        dg.AssetSpec("raw", metadata={"dagster/column_schema": DESCRIBED}),
        dg.AssetSpec("mart", deps=["raw"], metadata={"dagster/column_schema": DESCRIBED}),
    ]
)
def models() -> Any:
    """As dbt does: the definition describes columns, the materialization has all with types."""
    yield dg.MaterializeResult(
        "raw", metadata={"dagster/column_schema": columns(id="int", amount="float")}
    )
    lineage = dg.TableColumnLineage(
        {"total": [dg.TableColumnDep(asset_key=AssetKey("raw"), column_name="amount")]}
    )
    yield dg.MaterializeResult(
        "mart",
        metadata={
            "dagster/column_schema": columns(id="int", total="float"),
            "dagster/column_lineage": lineage,
        },
    )


@dg.asset(deps=["mart"])
def report() -> None: ...


@dg.asset(deps=["report"])
def fails() -> None:
    raise ValueError("broken")


DEFINITIONS = dg.Definitions(
    [models, report, fails],
    jobs=[
        dg.define_asset_job("all", dg.AssetSelection.assets("raw", "mart", "report")),
        dg.define_asset_job("only_report", dg.AssetSelection.assets("report")),
    ],
)


def fields(dataset: Json) -> Mapping[str, tuple[str | None, str | None]]:
    facet = dataset["facets"].get("schema", {"fields": []})
    return {each["name"]: (each.get("type"), each.get("description")) for each in facet["fields"]}


RAW = {"id": ("int", "The key"), "amount": ("float", None)}
MART = {"id": ("int", "The key"), "total": ("float", None)}


def test_all_events_and_all_readers_have_the_columns_that_were_made() -> None:
    events = converted(DEFINITIONS, "all")
    check_runs(events)
    for state in ("START", "COMPLETE"):
        [raw] = one(events, "raw", state)["outputs"]
        mart = one(events, "mart", state)
        assert fields(raw) == RAW
        assert fields(mart["outputs"][0]) == MART
        assert fields(mart["inputs"][0]) == RAW
        assert fields(one(events, "report", state)["inputs"][0]) == MART
        lineage = mart["outputs"][0]["facets"]["columnLineage"]["fields"]
        assert lineage["total"]["inputFields"][0]["field"] in RAW


def entries_of(instance: dg.DagsterInstance, run_id: str) -> list[dg.EventLogEntry]:
    """Read a run's log with its real times, which come after those of earlier runs."""
    return [each.event_log_entry for each in instance.get_records_for_run(run_id).records]


def test_what_was_made_in_an_earlier_run_describes_inputs() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        execute(DEFINITIONS, "all", instance)
        entries = entries_of(instance, execute(DEFINITIONS, "only_report", instance).run_id)
        assets = DefinedAssets(DEFINITIONS.get_repository_def().asset_graph)
        events = converted_instance(instance, entries, Definitions(assets))
        without = converted_instance(instance, entries, Definitions())
    for state in ("START", "COMPLETE"):
        assert fields(one(events, "report", state)["inputs"][0]) == MART
    [read] = one(without, "report", "COMPLETE")["inputs"]
    assert fields(read) == {"id": ("int", None), "total": ("float", None)}


def physical_definitions(metadata: Mapping[str, Any], made: Mapping[str, Any]) -> dg.Definitions:
    typed = {"dagster/column_schema": columns(id="int")}

    @dg.asset(metadata={**typed, **metadata})
    def items() -> dg.MaterializeResult[Any]:
        return dg.MaterializeResult(metadata=dict(made))

    @dg.asset(deps=[items])
    def reader() -> None: ...

    return dg.Definitions([items, reader], jobs=[dg.define_asset_job("all")])


@pytest.mark.parametrize(
    ("metadata", "made", "expected"),
    [
        ({"dagster/table_name": "items"}, {"dagster/table_name": "db.shop.items"}, "db.shop.items"),
        ({}, {"dagster/table_name": "db.shop.items"}, "db.shop.items"),
        ({}, {"dagster/uri": "s3://lake/items"}, "items"),
        ({}, {"path": dg.MetadataValue.path("/lake/items")}, "/lake/items"),
        ({"dagster/table_name": "items"}, {}, "items"),
    ],
    ids=["as dlt", "as a DbIOManager", "as Pipes", "as a file", "from the definition"],
)
def test_every_event_names_the_place_that_was_made(
    metadata: Mapping[str, Any], made: Mapping[str, Any], expected: str
) -> None:
    definitions = physical_definitions(metadata, made)
    events = converted(definitions, "all", settings=PHYSICAL, was_made_before=False)
    check_runs(events)
    for state in ("START", "COMPLETE"):
        assert one(events, "items", state)["outputs"][0]["name"] == expected
        assert one(events, "reader", state)["inputs"][0]["name"] == expected


@dg.asset(group_name="core")
def items() -> dg.MaterializeResult[Any]:
    made = {"dagster/table_name": "db.shop.items", "dagster/column_schema": columns(q="text")}
    return dg.MaterializeResult(metadata=made)


@dg.asset(deps=[items])
def reader() -> None: ...


@dg.op
def logs_by_hand(context: dg.OpExecutionContext) -> None:
    context.log_event(dg.AssetMaterialization("items"))


@dg.job
def by_hand() -> None:
    logs_by_hand()


MADE_AND_REPORTED = dg.Definitions(
    [items, reader],
    jobs=[dg.define_asset_job("all"), dg.define_asset_job("reads", [reader]), by_hand],
)


@pytest.fixture(scope="module")
def reported_silently() -> Iterator[dg.DagsterInstance]:
    """An asset that is made, and then reported as Dagster's UI does: without metadata."""
    defined = DefinedAssets(MADE_AND_REPORTED.get_repository_def().asset_graph)
    with dg.DagsterInstance.ephemeral() as instance:
        keep_definitions(KeyValues(instance), "all", Definitions(defined), 1.0)
        for job in ("all", "by_hand", "reads"):
            execute(MADE_AND_REPORTED, job, instance)
            instance.report_runless_asset_event(dg.AssetMaterialization("items"))
        yield instance


@pytest.mark.parametrize("source", ["code location", "snapshots"])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ("dagster", "items")),
        ({"namespace_template": "{namespace}/{group}"}, ("dagster/core", "items")),
        (
            {
                "namespace_template": "{namespace}/{group}",
                "dataset_identity": "physical",
                "dataset_namespaces": {"*": "postgres://host:5432"},
            },
            ("postgres://host:5432", "db.shop.items"),
        ),
    ],
    ids=["by asset", "by group", "physical"],
)
def test_a_report_that_says_nothing_keeps_what_was_said_before(
    reported_silently: dg.DagsterInstance,
    options: dict[str, Any],
    expected: tuple[str, str],
    source: str,
) -> None:
    instance = reported_silently
    defined = DefinedAssets(MADE_AND_REPORTED.get_repository_def().asset_graph)
    run_ids = ["", *(record.dagster_run.run_id for record in instance.get_run_records())]
    entries = [entry for run_id in run_ids for entry in entries_of(instance, run_id)]
    events = converted_instance(
        instance,
        sorted(entries, key=lambda entry: entry.timestamp),
        Definitions(defined) if source == "code location" else KeptDefinitions(lambda: instance),
        Settings.from_options(options, {}),
    )
    found = [
        (each["namespace"], each["name"], *fields(each))
        for event in events
        for name, side in (("items", "outputs"), ("reader", "inputs"))
        if event["job"]["name"] == name
        for each in event[side]
    ]
    # Two of each: made, read, by hand, read again; and three reports.
    assert found == [(*expected, "q")] * 2 * (4 + 3)


def test_the_tables_that_dlt_makes_of_nested_fields_are_outputs_too() -> None:
    made = {
        "dagster/table_name": "duckdb.source.items",
        "destination_name": "duckdb",
        "dataset_name": "shop",
        "items__tags": columns(value="text"),
    }
    definitions = physical_definitions({}, made)
    events = converted(definitions, "all", settings=PHYSICAL, was_made_before=False)
    check_runs(events)
    for state in ("START", "COMPLETE"):
        _, child = one(events, "items", state)["outputs"]
        assert (child["namespace"], child["name"]) == ("postgres://host:5432", "shop.items__tags")
        assert fields(child) == {"value": ("text", None)}
        assert child["facets"]["dataSource"]["name"] == "postgres://host:5432"
        assert [read["name"] for read in one(events, "reader", state)["inputs"]] == ["shop.items"]
    by_asset = converted(definitions, "all", was_made_before=False)
    assert len(one(by_asset, "items", "COMPLETE")["outputs"]) == 1


def test_what_is_where_comes_with_the_facets_of_the_place() -> None:
    made = {"dagster/table_name": "db.shop.items", "dagster/storage_kind": "duckdb"}
    definitions = physical_definitions({}, made)
    events = converted(definitions, "all", settings=PHYSICAL, was_made_before=False)
    for dataset in (
        one(events, "items", "START")["outputs"][0],
        one(events, "reader", "COMPLETE")["inputs"][0],
    ):
        facets = dataset["facets"]
        assert facets["datasetType"]["datasetType"] == "TABLE"
        assert facets["storage"]["storageLayer"] == "duckdb"


def test_a_query_of_an_io_manager_is_the_jobs() -> None:
    made = {"Query": "SELECT * FROM shop.items", "dagster/storage_kind": "duckdb"}
    events = converted(physical_definitions({}, made), "all")
    facet = one(events, "items", "COMPLETE")["job"]["facets"]["sql"]
    assert (facet["query"], facet["dialect"]) == ("SELECT * FROM shop.items", "duckdb")


@pytest.mark.parametrize(
    ("made", "expected"),
    [({}, ["START"]), ({"dagster/column_schema": columns(id="int")}, [])],
    ids=["without columns", "with columns"],
)
def test_a_start_comes_with_its_step_where_materializations_have_no_columns(
    made: dict[str, Any], expected: list[str]
) -> None:
    """Columns that a materialization had may be others in the next one."""
    definitions = physical_definitions({}, made)
    with dg.DagsterInstance.ephemeral() as instance:
        execute(definitions, "all", instance)
        entries = entries_of(instance, execute(definitions, "all", instance).run_id)
        assets = DefinedAssets(definitions.get_repository_def().asset_graph)
        at = next(
            index
            for index, entry in enumerate(entries)
            if entry.dagster_event_type is dg.DagsterEventType.STEP_START
        )
        events = converted_instance(instance, entries[: at + 1], Definitions(assets))
    assert [e["eventType"] for e in events if e["job"]["name"] == "items"] == expected


@dg.asset(deps=["raw"], group_name="core", description="made here")
def mid() -> None: ...


@dg.asset(name="raw")
def raw_table() -> dg.MaterializeResult[Any]:
    return dg.MaterializeResult(metadata={"dagster/table_name": "db.raw"})


@dg.op
def logs_mid(context: dg.OpExecutionContext) -> None:
    context.log_event(dg.AssetMaterialization("mid"))


@dg.job
def mid_by_hand() -> None:
    logs_mid()


@dg.asset(deps=["mid"])
def far() -> None: ...


@dg.asset(name="mid", deps=["raw"])
def broken_mid() -> None:
    raise ValueError("broken")


@pytest.mark.parametrize(
    "elsewhere",
    [[far], [dg.AssetSpec("mid", description="only named"), far]],
    ids=["a dependency", "a spec"],
)
def test_what_another_code_location_makes_keeps_its_inputs(elsewhere: list[Any]) -> None:
    """The sensor's code location only names the asset."""
    makers = dg.Definitions([raw_table, mid], jobs=[dg.define_asset_job("make"), mid_by_hand])
    breakers = dg.Definitions([broken_mid], jobs=[dg.define_asset_job("make")])
    seen = Definitions(DefinedAssets(dg.Definitions(elsewhere).get_repository_def().asset_graph))
    with dg.DagsterInstance.ephemeral() as instance:
        made, broken, by_hand = (
            entries_of(instance, execute(definitions, job, instance).run_id)
            for definitions, job in (
                (makers, "make"),
                (breakers, "make"),
                (makers, "mid_by_hand"),
            )
        )
        instance.report_runless_asset_event(dg.AssetMaterialization("mid"))
        logs = [made, broken, by_hand, entries_of(instance, "")]
        events = [converted_instance(instance, log, seen, PHYSICAL) for log in logs]
    for log, end in zip(events, ("COMPLETE", "FAIL", "COMPLETE", "COMPLETE"), strict=True):
        check_runs(log)
        for state in ("START", end):
            assert [each["name"] for each in one(log, "mid", state)["inputs"]] == ["db.raw"]


def test_of_a_dependency_without_a_definition_no_group_is_told() -> None:
    events = converted(dg.Definitions([far], jobs=[dg.define_asset_job("all")]), "all")
    [read] = one(events, "far", "COMPLETE")["inputs"]
    assert "tags" not in read["facets"]


def test_a_start_waits_for_an_input_that_the_user_names_and_the_same_step_makes() -> None:
    runs = iter([columns(x="int"), columns(x="int", y="int")])
    named = {"openlineage/inputs": ["made"], "dagster/column_schema": columns(q="int")}

    @dg.multi_asset(specs=[dg.AssetSpec("made"), dg.AssetSpec("reads", metadata=named)])
    def both() -> Any:
        yield dg.MaterializeResult("made", metadata={"dagster/column_schema": next(runs)})
        yield dg.MaterializeResult("reads")

    definitions = dg.Definitions([both], jobs=[dg.define_asset_job("all")])
    with dg.DagsterInstance.ephemeral() as instance:
        execute(definitions, "all", instance)
        entries = entries_of(instance, execute(definitions, "all", instance).run_id)
        assets = DefinedAssets(definitions.get_repository_def().asset_graph)
        events = converted_instance(instance, entries, Definitions(assets))
    check_runs(events)
    for state in ("START", "COMPLETE"):
        [read] = one(events, "reads", state)["inputs"]
        assert fields(read).keys() == {"x", "y"}


def test_a_start_waits_for_an_asset_that_its_user_names_and_dagster_may_make_later() -> None:
    named = {"dagster/column_schema": columns(id="int"), "openlineage/inputs": ["zz_later"]}

    @dg.asset(metadata=named)
    def early() -> None: ...

    @dg.asset
    def zz_later() -> dg.MaterializeResult[Any]:
        return dg.MaterializeResult(metadata={"dagster/column_schema": columns(id="int")})

    definitions = dg.Definitions([early, zz_later], jobs=[dg.define_asset_job("all")])
    events = [event for event in converted(definitions, "all") if event["job"]["name"] == "early"]
    check_runs(events)
    start, complete = events
    assert start["inputs"] == complete["inputs"]
    with_both = converted(definitions, "all", settings=Settings(disabled_facets=("schema",)))
    order = [(event["job"]["name"], event["eventType"]) for event in with_both]
    assert order.index(("early", "START")) < order.index(("all.early", "COMPLETE"))
