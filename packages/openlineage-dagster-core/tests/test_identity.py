import re
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from uuid import UUID

import pytest
from dagster import AssetKey
from hypothesis import assume, given
from hypothesis import strategies as st

from openlineage_dagster_core.facts.model import AssetFacts, PhysicalFacts, RunFacts
from openlineage_dagster_core.identity import (
    Identity,
    Symlink,
    asset_run_id,
    canonical_run_id,
    run_job_name,
    static_run_id,
    step_job_name,
    step_run_id,
)
from openlineage_dagster_core.settings import Settings
from recorded_run import CREATED_AT, RUN_ID

RUN = RunFacts(RUN_ID, "nightly", CREATED_AT, tags={"tenant": "acme"}, code_location="shop")
IDENTITY = Identity(Settings())


def with_options(**options: object) -> Identity:
    return Identity(Settings.from_options(options, {}))


characters = st.characters(exclude_categories=[])
texts = st.text(characters, min_size=1) | st.tuples(
    st.text(characters, min_size=1, max_size=5), st.integers(200, 10_000)
).map(lambda pair: (pair[0] * pair[1])[:10_000])
keys = st.lists(texts, min_size=1, max_size=4).map(AssetKey)
partitions = st.none() | texts


@given(keys, partitions, keys, partitions)
def test_different_assets_and_partitions_have_different_run_ids(
    key: AssetKey, partition: str | None, other: AssetKey, other_partition: str | None
) -> None:
    assume((key, partition) != (other, other_partition))
    mine = asset_run_id(RUN, key, partition)
    assert mine != asset_run_id(RUN, other, other_partition)
    assert mine == asset_run_id(RUN, key, partition)
    UUID(mine)


@given(keys, keys, st.sampled_from(["/", "."]))
def test_different_keys_have_different_names(key: AssetKey, other: AssetKey, by: str) -> None:
    assume(key != other)
    assert IDENTITY.asset_job_name(key, None) != IDENTITY.asset_job_name(other, None)
    identity = with_options(dataset_key_separator=by)
    assert identity.dataset(RUN, key, None) != identity.dataset(RUN, other, None)


def test_a_job_and_a_dataset_are_named_by_the_path() -> None:
    for identity in (IDENTITY, with_options(dataset_key_separator=".")):
        assert identity.asset_job_name(AssetKey(["a", "b"]), None) == "a/b"
        assert identity.asset_job_name(AssetKey(["a/b"]), None) == "a\\/b"
    assert IDENTITY.dataset(RUN, AssetKey(["a", "b.c"]), None).name == "a/b.c"


def test_dots_between_the_parts_of_a_key_are_not_those_in_a_part() -> None:
    identity = with_options(dataset_key_separator=".")
    assert identity.dataset(RUN, AssetKey(["a", "b/c"]), None).name == "a.b/c"
    assert identity.dataset(RUN, AssetKey(["a", "b.c"]), None).name == "a.b\\.c"


def test_steps_assets_and_checks_of_the_same_name_are_different_runs() -> None:
    key = AssetKey("orders")
    ids = {
        step_run_id(RUN, "orders"),
        asset_run_id(RUN, key, None),
        asset_run_id(RUN, key, "orders"),
        asset_run_id(RUN, key, None, "checks"),
        asset_run_id(RUN, key, "orders", "checks"),
        asset_run_id(RUN, key, None, "late check", 1.0),
        canonical_run_id(CREATED_AT, RUN_ID),
    }
    assert len(ids) == 7


def test_an_asset_partition_called_checks_is_not_the_checks() -> None:
    key = AssetKey("orders")
    assert asset_run_id(RUN, key, "checks") != asset_run_id(RUN, key, None, "checks")


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


def test_a_job_that_has_the_name_of_an_asset_is_not_that_assets_job() -> None:
    assert run_job_name(RUN, is_like_asset=False) == "nightly"
    assert run_job_name(RUN, is_like_asset=True) == "nightly__run"
    assert run_job_name(RunFacts("", "", CREATED_AT), is_like_asset=False) != ""


def test_run_ids_that_sort_are_those_of_the_run_and_of_the_run_that_it_retries() -> None:
    sortable = with_options(run_ids="sortable")
    again = RunFacts(
        str(UUID(int=7)),
        "nightly",
        CREATED_AT + timedelta(hours=1),
        parent_run_id=RUN_ID,
        parent_created_at=CREATED_AT,
    )
    assert UUID(sortable.run_id(RUN)).version == 7
    assert sortable.run_id(RUN) < sortable.run_id(again)
    assert sortable.retried_run_id(again) == sortable.run_id(RUN)
    assert sortable.retried_run_id(replace(again, parent_created_at=None)) is None
    assert IDENTITY.run_id(RUN) == IDENTITY.retried_run_id(again) == RUN_ID
    assert sortable.run_id(RUN) not in (step_run_id(RUN, "run"), asset_run_id(RUN, KEY, None))


KEY = AssetKey("orders")
NAME = st.text("ab._", min_size=1, max_size=3).map(
    lambda text: text.replace("_", "__checks").replace("b", "__run")
)
PARTS = st.sampled_from(
    ["a", "a__checks", "a__run", "a.a", "a.a:asset", "a:asset", "a__observations"]
)
GROUPS = st.sampled_from([None, "a", "a_a", "a__checks", "a/a", "a__run", "default"])
TEMPLATES = [
    "{key}",
    "{group}.{key}",
    "{key}.{group}",
    "{group}/{key}",
    "{group}.assets/{key}",
    "a.{key}",
    "a {group}_:_{key}__run",
    "{group}[{key}",
]


@pytest.mark.parametrize("template", TEMPLATES)
@given(
    st.lists(PARTS | NAME, min_size=1, max_size=2),
    PARTS | NAME,
    NAME | PARTS,
    NAME | PARTS,
    GROUPS,
    GROUPS,
)
def test_a_run_a_step_an_asset_and_its_checks_never_share_a_job(
    template: str,
    path: list[str],
    other: str,
    job: str,
    step: str,
    group: str | None,
    other_group: str | None,
) -> None:
    identity = with_options(asset_job_name=template)
    job, step = (re.sub(r"[^A-Za-z0-9_.]", "", text) or "x" for text in (job, step))
    job = job.replace(".", "") or "x"
    keys = {AssetKey(path): group, AssetKey([other]): other_group}
    run = RunFacts(RUN_ID, job, CREATED_AT)
    jobs = [
        run_job_name(run, is_like_asset=AssetKey([job]) in keys),
        step_job_name(job, step),
    ]
    for key, of in keys.items():
        asset = AssetFacts(key, group=of)
        jobs += [
            identity.asset_job_name(key, asset),
            identity.checks_job_name(key, asset),
            identity.observations_job_name(key, asset),
        ]
    assert len(set(jobs)) == len(jobs)


def test_a_job_may_be_named_after_the_group_of_its_asset() -> None:
    identity = with_options(asset_job_name="{group}.{key}")
    many, one = AssetKey(["raw", "orders"]), AssetKey("orders")
    assert identity.asset_job_name(many, AssetFacts(many, group="marts")) == "marts.raw/orders"
    assert identity.checks_job_name(many, AssetFacts(many, group="a/b")) == "a_b.raw/orders__checks"
    assert identity.asset_job_name(many, None) == "default.raw/orders"
    # It could be a step of a Dagster job `marts`.
    assert identity.asset_job_name(one, AssetFacts(one, group="marts")) == "marts.orders:asset"
    assert identity.dataset(RUN, one, AssetFacts(one, group="marts")).name == "orders"
    slash = with_options(asset_job_name="{group}.assets/{key}")
    assert slash.asset_job_name(one, AssetFacts(one, group="marts")) == "marts.assets/orders"


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
    key = AssetKey("orders")
    assert identity.dataset(RUN, key, asset) == ("corp/acme/raw", "orders")
    assert identity.dataset(RUN, key, None) == ("corp/acme", "orders")
    assert identity.job_namespace(RUN) == "shop"


TABLE = AssetFacts(
    AssetKey(["raw", "orders"]),
    tags={"dagster/kind/snowflake": ""},
    physical=PhysicalFacts(table_name="SHOP.RAW.ORDERS"),
)
FILE = AssetFacts(AssetKey("files"), physical=PhysicalFacts(uri="s3://Bucket/files"))


def physical(**options: object) -> Identity:
    given = {"dataset_identity": "physical", **options}
    return Identity(Settings.from_options(given, {}))


def test_a_dataset_may_be_named_after_its_table_or_uri() -> None:
    identity = physical(dataset_namespaces={"kind:snowflake": "snowflake://org-account"})
    assert identity.dataset(RUN, TABLE.key, TABLE) == (
        "snowflake://org-account",
        "SHOP.RAW.ORDERS",
    )
    assert identity.dataset(RUN, FILE.key, FILE) == ("s3://Bucket", "files")


def test_the_namespace_of_a_table_is_without_user_and_password() -> None:
    for identity in ("asset", "physical"):
        found = physical(
            dataset_namespaces={"*": "postgres://u:hunter2@h:5432"}, dataset_identity=identity
        ).physical(TABLE.key, TABLE)
        assert found is not None
        assert found.namespace == "postgres://h:5432"


def test_a_table_whose_host_is_not_known_is_named_after_its_asset() -> None:
    identity = physical(dataset_namespaces={"kind:postgres": "postgres://h:5432"})
    assert identity.dataset(RUN, TABLE.key, TABLE) == ("dagster", "raw/orders")
    assert identity.dataset(RUN, TABLE.key, None) == ("dagster", "raw/orders")


def test_a_symlink_is_the_name_that_was_not_chosen_and_says_what_it_names() -> None:
    namespaces = {"raw/*": "snowflake://org-account"}
    by_table = ("snowflake://org-account", "SHOP.RAW.ORDERS")
    by_asset = ("dagster", "raw/orders")
    identity = physical(dataset_namespaces=namespaces)
    assert identity.dataset(RUN, TABLE.key, TABLE) == by_table
    assert identity.symlink(RUN, TABLE.key, TABLE) == (by_asset, Symlink.ASSET)
    identity = physical(dataset_namespaces=namespaces, dataset_identity="asset")
    assert identity.dataset(RUN, TABLE.key, TABLE) == by_asset
    assert identity.symlink(RUN, TABLE.key, TABLE) == (by_table, Symlink.TABLE)
    file = AssetFacts(AssetKey("file"), physical=PhysicalFacts(uri="s3://lake/orders"))
    assert identity.symlink(RUN, file.key, file) == (("s3://lake", "orders"), Symlink.LOCATION)
    assert identity.symlink(RUN, AssetKey("none"), None) is None


@given(texts, keys)
def test_any_tag_gives_a_safe_namespace_and_a_stable_one(tag: str, key: AssetKey) -> None:
    settings = Settings.from_options({"namespace_template": "{namespace}/{tag:tenant}"}, {})
    run = RunFacts(RUN_ID, "nightly", CREATED_AT, tags={"tenant": tag})
    first = Identity(settings).dataset(run, key, None)
    assert first == Identity(settings).dataset(run, key, None)
    for text, allowed in ((first.namespace, r"[A-Za-z0-9:;=/_.@+-]{1,255}"), (first.name, r".+")):
        assert re.fullmatch(allowed, text)
        assert len(text) <= 255
    assert re.fullmatch(r"[A-Za-z0-9:/_.@+-]{1,255}", Identity(settings).job_namespace(run))


@given(texts, texts)
def test_different_tenants_have_different_namespaces(tag: str, other: str) -> None:
    # Slashes that meet are one, and those at the ends are gone.
    assume([part for part in tag.split("/") if part] != [part for part in other.split("/") if part])
    settings = Settings.from_options({"namespace_template": "{namespace}/{tag:tenant}"}, {})
    spaces = {
        Identity(settings).job_namespace(
            RunFacts(RUN_ID, "nightly", CREATED_AT, tags={"tenant": text})
        )
        for text in (tag, other)
    }
    assert len(spaces) == 2
