import warnings
from dataclasses import replace

import dagster as dg
from dagster import AssetKey

from openlineage_dagster_core.facts.definitions import DefinedAssets, DefinedJobs
from openlineage_dagster_core.facts.model import Definitions, KnownRun, OutsideParent
from openlineage_dagster_core.facts.writing import decode_definitions, encode_definitions

DAYS = dg.DailyPartitionsDefinition("2026-01-01", timezone="Europe/Berlin")
YESTERDAY = dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1)


class Own(dg.PartitionMapping):
    """Of the user's own: no other process can be expected to have it."""

    def get_upstream_mapped_partitions_result_for_partitions(self, *args, **kwargs):
        raise NotImplementedError

    def get_downstream_partitions_for_partitions(self, *args, **kwargs):
        raise NotImplementedError

    def validate_partition_mapping(self, *args, **kwargs):
        pass

    @property
    def description(self) -> str:
        return "own"


@dg.asset(
    partitions_def=DAYS,
    deps=[dg.AssetDep("balance", partition_mapping=YESTERDAY), "outside"],
    group_name="raw",
    owners=["team:sales"],
    kinds={"sql"},
    tags={"pii": "yes"},
    description="Orders *of the day*",
    metadata={
        "dagster/column_schema": dg.TableSchema(
            [dg.TableColumn("id", "int", "The key", tags={"pii": "no"}), dg.TableColumn("day")]
        ),
        "dagster/table_name": "a.b.c",
        "openlineage/sql": "select 1",
    },
    code_version="1",
)
def balance() -> None: ...


def _oddly_mapped() -> dg.AssetsDefinition:
    with warnings.catch_warnings():
        # Dagster warns of it, at each turn.
        warnings.simplefilter("ignore")
        dependency = dg.AssetDep(balance, partition_mapping=Own())

        @dg.asset(partitions_def=DAYS, deps=[dependency])
        def oddly_mapped() -> None: ...

    return oddly_mapped


@dg.asset_check(asset=balance, additional_deps=["outside"])
def complete() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.op(description="Opens", tags={"team": "a"})
def opens() -> None: ...


@dg.job(description="By hand", tags={"team": "b"})
def by_hand() -> None:
    opens()


with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    REPOSITORY = dg.Definitions(
        [balance, _oddly_mapped()], asset_checks=[complete], jobs=[by_hand]
    ).get_repository_def()
DEFINITIONS = Definitions(
    assets=dict(DefinedAssets(REPOSITORY.asset_graph)),
    jobs={"by_hand": DefinedJobs(REPOSITORY)["by_hand"]},
    parent=OutsideParent(KnownRun("ns", "job", "id"), KnownRun("ns", "root", "id2")),
    environment={"STAGE": "prod"},
)


def test_what_is_written_down_is_read_back() -> None:
    assert decode_definitions(encode_definitions(DEFINITIONS)) == DEFINITIONS
    assert decode_definitions(encode_definitions(Definitions())) == Definitions()


def test_what_is_the_same_in_every_run_is_read_once() -> None:
    other = replace(DEFINITIONS, environment={"HOSTNAME": "another"}, parent=None)
    first, second = (
        decode_definitions(encode_definitions(definitions)) for definitions in (DEFINITIONS, other)
    )
    assert first.assets is second.assets
    assert (first, second) == (DEFINITIONS, other)


def test_a_mapping_of_the_users_own_is_no_fact() -> None:
    assert DEFINITIONS.assets[AssetKey("oddly_mapped")].upstream_partitions == {}
    assert set(DEFINITIONS.assets[AssetKey("balance")].upstream_partitions) == {AssetKey("balance")}
