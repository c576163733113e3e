"""Assets and jobs that are written down read back the same, whatever their texts are."""

import json
import warnings
from dataclasses import replace
from typing import Any

import dagster as dg
from dagster import AssetKey
from hypothesis import given
from hypothesis import strategies as st

from openlineage_dagster_core.facts.definitions import DefinedAssets, DefinedJobs
from openlineage_dagster_core.facts.model import (
    AssetFacts,
    CheckFacts,
    JobFacts,
    PhysicalFacts,
    StepFacts,
)
from openlineage_dagster_core.snapshots.definitions_codec import (
    decode_asset,
    decode_job,
    encode_asset,
    encode_job,
)
from openlineage_dagster_core.snapshots.history import History

DAYS = dg.DailyPartitionsDefinition("2026-01-01", timezone="Europe/Berlin")
YESTERDAY = dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1)


class Own(dg.PartitionMapping):
    """Of the user's own: no other process can be expected to have it."""

    def get_upstream_mapped_partitions_result_for_partitions(self, *args: Any, **kwargs: Any):
        raise NotImplementedError

    def get_downstream_partitions_for_partitions(self, *args: Any, **kwargs: Any):
        raise NotImplementedError

    def validate_partition_mapping(self, *args: Any, **kwargs: Any) -> None:
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
        [balance, _oddly_mapped()],
        asset_checks=[complete],
        jobs=[by_hand, dg.define_asset_job("daily", selection=[balance])],
    ).get_repository_def()
ASSETS = dict(DefinedAssets(REPOSITORY.asset_graph))


def test_assets_read_back_as_they_were_written() -> None:
    assert len(ASSETS) == 3
    for asset in ASSETS.values():
        assert decode_asset(encode_asset(asset)) == asset


def test_jobs_read_back_as_they_were_written() -> None:
    jobs = DefinedJobs(REPOSITORY)
    assert jobs["by_hand"].steps
    assert jobs["daily"].partitions
    for name in ("by_hand", "daily"):
        assert decode_job(encode_job(jobs[name])) == jobs[name]
    assert decode_job(encode_job(JobFacts())) == JobFacts()


def test_what_earlier_versions_wrote_is_read() -> None:
    asset = AssetFacts(AssetKey("orders"), is_external=True, is_stub=True)
    written = json.loads(encode_asset(asset))
    del written["is_stub"]
    assert decode_asset(json.dumps(written)) == replace(asset, is_stub=False)
    job = JobFacts(description="Nightly", is_like_asset=True)
    written = json.loads(encode_job(job))
    del written["is_like_asset"]
    assert decode_job(json.dumps(written)) == replace(job, is_like_asset=False)


def test_a_mapping_of_the_users_own_is_left_out() -> None:
    assert ASSETS[AssetKey("oddly_mapped")].upstream_partitions == {}
    assert set(ASSETS[AssetKey("balance")].upstream_partitions) == {AssetKey("balance")}


texts = st.text(st.characters(exclude_categories=[]), max_size=10)
"""Lone surrogates, NUL, quotes and line ends included."""

keys = st.lists(texts, min_size=1, max_size=3).map(AssetKey)
words = st.none() | texts
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
columns = st.builds(
    dg.TableColumn,
    texts,
    texts,
    words,
    # No facet tells them.
    constraints=st.none(),
    tags=st.dictionaries(texts, texts, max_size=2),
)
assets = st.builds(
    AssetFacts,
    key=keys,
    upstream=st.lists(keys, max_size=3).map(tuple),
    group=words,
    description=words,
    owners=st.lists(texts, max_size=3).map(tuple),
    tags=st.dictionaries(texts, texts, max_size=3),
    columns=st.none() | st.lists(columns, max_size=3).map(dg.TableSchema),
    is_materializable=st.booleans(),
    is_external=st.booleans(),
    is_stub=st.booleans(),
    checks=st.dictionaries(
        texts,
        st.builds(CheckFacts, st.lists(keys, max_size=2).map(tuple), words, words, words, words),
        max_size=2,
    ),
    physical=st.builds(PhysicalFacts, words, words, words, words),
    code_version=words,
    source_code=words,
    source_text=words,
    sql=words,
    additions=st.dictionaries(texts, values, max_size=3),
)
jobs = st.builds(
    JobFacts,
    description=words,
    owners=st.lists(texts, max_size=3).map(tuple),
    tags=st.dictionaries(texts, texts, max_size=3),
    source_code=words,
    is_like_asset=st.booleans(),
    steps=st.dictionaries(
        texts, st.builds(StepFacts, words, st.dictionaries(texts, texts)), max_size=3
    ),
)


@given(asset=assets)
def test_an_asset_with_any_text_reads_back_from_a_history(asset: AssetFacts) -> None:
    written = encode_asset(asset)
    assert written.isascii(), "columns of databases have encodings"
    history = History()
    history.add(1.0, written)
    text = history.to_text()
    assert text.isascii()
    read = History.from_text(text)
    assert decode_asset(read.text(str(read.latest))) == asset
    assert encode_asset(decode_asset(written)) == written


@given(job=jobs)
def test_a_job_with_any_text_reads_back(job: JobFacts) -> None:
    written = encode_job(job)
    assert written.isascii()
    assert decode_job(written) == job
