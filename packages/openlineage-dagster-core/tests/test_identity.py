import subprocess
import sys
from datetime import datetime, timedelta, timezone
from uuid import UUID

from dagster import AssetKey
from hypothesis import assume, given
from hypothesis import strategies as st

from openlineage_dagster_core.facts.model import AssetFacts, RunFacts
from openlineage_dagster_core.identity import (
    Identity,
    canonical_run_id,
    dataset_name,
    static_run_id,
    step_job_name,
)
from openlineage_dagster_core.settings import Settings
from recorded_run import CREATED_AT, RUN_ID

RUN = RunFacts(RUN_ID, "nightly", CREATED_AT, tags={"tenant": "acme"}, code_location="shop")
IDENTITY = Identity(Settings())

keys = st.lists(st.text(min_size=1), min_size=1, max_size=4).map(AssetKey)
partitions = st.none() | st.text(min_size=1)


@given(keys, partitions, keys, partitions)
def test_different_assets_and_partitions_have_different_run_ids(
    key: AssetKey, partition: str | None, other: AssetKey, other_partition: str | None
) -> None:
    assume((key, partition) != (other, other_partition))
    mine = IDENTITY.asset_run_id(RUN, key, partition)
    assert mine != IDENTITY.asset_run_id(RUN, other, other_partition)
    assert mine == IDENTITY.asset_run_id(RUN, key, partition)
    UUID(mine)


@given(keys, keys)
def test_different_keys_have_different_dataset_names(key: AssetKey, other: AssetKey) -> None:
    assume(key != other)
    assert dataset_name(key) != dataset_name(other)


def test_a_dataset_is_named_by_the_path() -> None:
    assert dataset_name(AssetKey(["a", "b"])) == "a/b"
    assert dataset_name(AssetKey(["a/b"])) == "a\\/b"


def test_steps_assets_and_checks_of_the_same_name_are_different_runs() -> None:
    key = AssetKey("orders")
    ids = {
        IDENTITY.step_run_id(RUN, "orders"),
        IDENTITY.asset_run_id(RUN, key, None),
        IDENTITY.asset_run_id(RUN, key, "orders"),
        IDENTITY.checks_run_id(RUN, key),
        IDENTITY.job_run_id(RUN),
    }
    assert len(ids) == 5


def test_an_asset_partition_called_checks_is_not_the_checks() -> None:
    key = AssetKey("orders")
    assert IDENTITY.asset_run_id(RUN, key, "checks") != IDENTITY.checks_run_id(RUN, key)


def test_another_process_computes_the_same_ids() -> None:
    program = (
        "from datetime import datetime, timezone\n"
        "from openlineage_dagster_core.identity import static_run_id\n"
        "print(static_run_id(datetime(2026, 1, 5, 3, tzinfo=timezone.utc), 'asset', 'r', None))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == static_run_id(CREATED_AT, "asset", "r", None)


@given(st.integers(0, 4 * 10**9), st.integers(2, 10**6))
def test_ids_sort_by_the_creation_of_the_dagster_run(created: int, later: int) -> None:
    # From 2 ms on: the id holds whole milliseconds, cut off a float.
    first = datetime.fromtimestamp(created, timezone.utc)
    second = first + timedelta(milliseconds=later)
    assert static_run_id(first, "z") < static_run_id(second, "a")


def test_a_dagster_run_keeps_its_own_id() -> None:
    assert canonical_run_id(CREATED_AT, RUN_ID) == RUN_ID
    assert canonical_run_id(CREATED_AT, RUN_ID.upper()) == RUN_ID


def test_a_dagster_run_id_that_is_no_uuid_gets_one() -> None:
    assert canonical_run_id(CREATED_AT, "my-run") == canonical_run_id(CREATED_AT, "my-run")
    UUID(canonical_run_id(CREATED_AT, "my-run"))


def test_a_mapped_step_loses_its_index() -> None:
    assert step_job_name("nightly", "load[2024_a]") == "nightly.load"
    assert step_job_name("nightly", "graph.load") == "nightly.graph.load"


def test_namespaces_resolve_from_run_and_definition() -> None:
    settings = Settings.from_options(
        {
            "namespace": "corp",
            "namespace_template": "{namespace}/{tag:tenant}/{group}",
            "job_namespace": "{code_location}",
        },
        {},
    )
    identity = Identity(settings)
    asset = AssetFacts(AssetKey("orders"), group="raw")
    assert identity.dataset_namespace(RUN, asset) == "corp/acme/raw"
    assert identity.dataset_namespace(RUN, None) == "corp/acme"
    assert identity.job_namespace(RUN) == "shop"
