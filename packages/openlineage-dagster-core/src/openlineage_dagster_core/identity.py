"""Who is who: dataset and job names, namespaces, and the run ids that every process agrees on."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from dagster import AssetKey
from openlineage.client.uuid import generate_static_uuid

from openlineage_dagster_core.facts.model import AssetFacts, RunFacts
from openlineage_dagster_core.names import (
    safe_dataset_namespace,
    safe_job_namespace,
    safe_name,
)
from openlineage_dagster_core.namespaces import PLAIN_TOKENS, NamespaceTemplate
from openlineage_dagster_core.physical import PhysicalName, physical_name
from openlineage_dagster_core.settings import DatasetIdentity, Settings

RUN_SUFFIX = "__run"
CHECKS_SUFFIX = "__checks"
OBSERVATIONS_SUFFIX = "__observations"
ASSET_SUFFIX = ":asset"
"""No name of a Dagster job or a step has a colon."""

SUFFIXES = (RUN_SUFFIX, CHECKS_SUFFIX, OBSERVATIONS_SUFFIX, ASSET_SUFFIX)
"""A name of the user's that ends so gets one more, so that it is nothing else's."""

_Tokens = tuple[str, str | None, str | None, str | None]
_Tags = tuple[tuple[str, str], ...]

_MAPPING_INDEX = re.compile(r"\[[^\[\]]*\]$")


@lru_cache(maxsize=16384)
def static_run_id(instant: datetime, *names: str | None) -> str:
    """Make the run id of something that happened in a Dagster run.

    Args:
        instant: the Dagster run's stored creation time, so that ids sort by it.
        names: what tells this run from the others of the same Dagster run.

    Returns:
        A UUID that any process computes from the same arguments.
    """
    # JSON keeps the parts apart: ("a", "b/c") and ("a/b", "c") must differ.
    return str(generate_static_uuid(instant, json.dumps(names).encode()))


class DatasetName(NamedTuple):
    """What a dataset is called.

    Args:
        namespace: made safe.
        name: made safe.
    """

    namespace: str
    name: str


class Symlink(Enum):
    """What the other name of a dataset names: the type of the symlink.

    DataHub takes one of type TABLE for the dataset's own identity; OpenMetadata finds the table of
    DATABASE_TABLE.
    """

    ASSET = "ASSET"
    TABLE = "DATABASE_TABLE"
    LOCATION = "LOCATION"


def asset_job_name(key: AssetKey) -> str:
    r"""Name the job that stands for an asset.

    Args:
        key: the asset's key.

    Returns:
        `a/b`, made safe; a slash inside a component is written `\/` so that different keys have
        different names. With a suffix where the key could be the name of a step, of a run or of
        another asset's checks; the asset's dataset has no such suffix.
    """
    path = _unlike_a_step(key)
    return safe_name(path + ASSET_SUFFIX if path.endswith(SUFFIXES[:-1]) else path)


def _unlike_a_step(key: AssetKey) -> str:
    path = asset_path(key)
    is_like_a_step = len(key.path) == 1 and "." in path
    return path + ASSET_SUFFIX if is_like_a_step or path.endswith(ASSET_SUFFIX) else path


@lru_cache(maxsize=16384)
def asset_path(key: AssetKey) -> str:
    r"""Write an asset key as one text.

    Args:
        key: the asset's key.

    Returns:
        `a/b`, with slashes inside components written `\/`.
    """
    # Not AssetKey.to_escaped_user_string: 1.11 leaves backslashes alone, later versions do not.
    return "/".join(part.replace("\\", "\\\\").replace("/", "\\/") for part in key.path)


def run_job_name(run: RunFacts, *, is_like_asset: bool) -> str:
    """Name the job of a Dagster run.

    Args:
        run: the Dagster run.
        is_like_asset: whether an asset has the name of the Dagster job as its key.

    Returns:
        The Dagster job's name; with a suffix where an asset or its checks have that name: theirs is
        another job, and the run, which has no datasets, would take the asset's from it.
    """
    name = run.job_name
    return safe_name(name + RUN_SUFFIX if is_like_asset or name.endswith(SUFFIXES) else name)


def step_job_name(job_name: str, step_key: str) -> str:
    """Name the job of a step.

    Args:
        job_name: the Dagster job.
        step_key: the full step key, such as `load[2024]`.

    Returns:
        `job.step`, without the index of a mapped step.
    """
    return safe_name(f"{job_name}.{without_mapping_index(step_key)}")


def without_mapping_index(step_key: str) -> str:
    """Take the index of a mapped step off.

    Args:
        step_key: the full step key, such as `load[2024]`.

    Returns:
        The step's key in its job, such as `load`.
    """
    return _MAPPING_INDEX.sub("", step_key)


def checks_job_name(key: AssetKey) -> str:
    """Name the job that stands for an asset's checks.

    Args:
        key: the checked asset's key.

    Returns:
        `a/b__checks`.
    """
    return safe_name(_unlike_a_step(key) + CHECKS_SUFFIX)


def observations_job_name(key: AssetKey) -> str:
    """Name the job that stands for observing an asset.

    Args:
        key: the observed asset's key.

    Returns:
        `a/b__observations`.
    """
    return safe_name(_unlike_a_step(key) + OBSERVATIONS_SUFFIX)


@dataclass(frozen=True)
class Identity:
    """Gives names and ids under one configuration.

    Args:
        settings: holds the namespace templates.
    """

    settings: Settings

    def job_namespace(self, run: RunFacts) -> str:
        """Resolve the namespace of the jobs of a Dagster run.

        Args:
            run: the Dagster run.

        Returns:
            The namespace.
        """
        template = self.settings.job_namespace
        return _job_namespace(template, *self._values(template, run, None))

    def dataset(self, run: RunFacts, key: AssetKey, asset: AssetFacts | None) -> DatasetName:
        """Name the dataset of an asset: on either side, and in column lineage.

        Args:
            run: the Dagster run that names the dataset.
            key: the asset's key.
            asset: the asset's definition, where it is known.

        Returns:
            The name under the settings: that of the asset, or of its table or URI.
        """
        physical = None
        if self.settings.dataset_identity is DatasetIdentity.PHYSICAL:
            physical = self.physical(key, asset)
        if physical is not None:
            return DatasetName(physical.namespace, physical.name)
        return self._of_asset(run, key, asset)

    def symlink(
        self, run: RunFacts, key: AssetKey, asset: AssetFacts | None
    ) -> tuple[DatasetName, Symlink] | None:
        """Find the name that `dataset` did not choose.

        Args:
            run: the Dagster run that names the dataset.
            key: the asset's key.
            asset: the asset's definition, where it is known.

        Returns:
            That of the table or address, or of the asset, and what it is the name of; None where
            they are one.
        """
        physical = self.physical(key, asset)
        if physical is None:
            return None
        if self.settings.dataset_identity is DatasetIdentity.PHYSICAL:
            return self._of_asset(run, key, asset), Symlink.ASSET
        kind = Symlink.TABLE if physical.is_table else Symlink.LOCATION
        return DatasetName(physical.namespace, physical.name), kind

    def _of_asset(self, run: RunFacts, key: AssetKey, asset: AssetFacts | None) -> DatasetName:
        template = self.settings.namespace_template
        return _asset_dataset(template, *self._values(template, run, asset), key)

    def physical(self, key: AssetKey, asset: AssetFacts | None) -> PhysicalName | None:
        """Name the place where an asset's data is.

        Args:
            key: the asset's key.
            asset: the asset as it is described, where it is known.

        Returns:
            The name, made safe; None where no table in a known namespace, and no address is known.
        """
        if asset is None:
            return None
        found = physical_name(asset, asset_path(key), self.settings.dataset_namespaces)
        if found is None:
            return None
        return PhysicalName(
            safe_dataset_namespace(found.namespace), safe_name(found.name), found.is_table
        )

    def _values(
        self, template: NamespaceTemplate, run: RunFacts, asset: AssetFacts | None
    ) -> tuple[_Tokens, _Tags]:
        """Collect what the tokens of a template stand for; of the tags, those that it names."""
        tokens = (
            self.settings.namespace,
            run.code_location,
            run.repository,
            asset.group if asset is not None else None,
        )
        if not (template.tags and self.settings.resolve_run_tags):
            return tokens, ()
        return tokens, tuple((key, run.tags.get(key, "")) for key in template.tags)

    def job_run_id(self, run: RunFacts) -> str:
        """Give the run id of a Dagster run: its own.

        Args:
            run: the Dagster run.

        Returns:
            The Dagster run id, or one made from it where it is no UUID.
        """
        return canonical_run_id(run.created_at, run.run_id)

    def step_run_id(self, run: RunFacts, step_key: str) -> str:
        """Give the run id of a step.

        Args:
            run: the Dagster run.
            step_key: the full step key.

        Returns:
            A UUID.
        """
        return static_run_id(run.created_at, "step", run.run_id, step_key)

    def asset_run_id(self, run: RunFacts, key: AssetKey, partition: str | None) -> str:
        """Give the run id of one materialization of an asset.

        Args:
            run: the Dagster run.
            key: the asset's key.
            partition: the partition key, None for an asset without partitions.

        Returns:
            A UUID.
        """
        return static_run_id(run.created_at, "asset", run.run_id, asset_path(key), partition)

    def repeated_asset_run_id(
        self, run: RunFacts, key: AssetKey, partition: str | None, timestamp: float
    ) -> str:
        """Give the run id of a materialization after the run of its asset has ended.

        Args:
            run: the Dagster run.
            key: the asset's key.
            partition: the partition key, None for an asset without partitions.
            timestamp: of the materialization, in seconds since the epoch.

        Returns:
            A UUID.
        """
        return _run_id_at("repeated asset", run, key, partition, timestamp)

    def checks_run_id(self, run: RunFacts, key: AssetKey, partition: str | None) -> str:
        """Give the run id of an asset's checks in a Dagster run.

        Args:
            run: the Dagster run.
            key: the checked asset's key.
            partition: the partition key, None for checks of the whole asset.

        Returns:
            A UUID.
        """
        return static_run_id(run.created_at, "checks", run.run_id, asset_path(key), partition)

    def late_check_run_id(
        self, run: RunFacts, key: AssetKey, partition: str | None, timestamp: float
    ) -> str:
        """Give the run id of a check that is evaluated after the run of the checks has ended.

        Args:
            run: the Dagster run.
            key: the checked asset's key.
            partition: the partition key, None for a check of the whole asset.
            timestamp: of the evaluation, in seconds since the epoch.

        Returns:
            A UUID.
        """
        return _run_id_at("late check", run, key, partition, timestamp)

    def observation_run_id(
        self, run: RunFacts, key: AssetKey, partition: str | None, timestamp: float
    ) -> str:
        """Give the run id of one observation; a run may observe an asset again and again.

        Args:
            run: the Dagster run.
            key: the observed asset's key.
            partition: the partition key, None for an asset without partitions.
            timestamp: of the observation, in seconds since the epoch.

        Returns:
            A UUID.
        """
        return _run_id_at("observation", run, key, partition, timestamp)


def _run_id_at(
    kind: str, run: RunFacts, key: AssetKey, partition: str | None, timestamp: float
) -> str:
    """Make the id of a run of which one Dagster run may have several: by its time."""
    names = (kind, run.run_id, asset_path(key), partition, repr(timestamp))
    return static_run_id(run.created_at, *names)


@lru_cache(maxsize=1024)
def canonical_run_id(instant: datetime, run_id: str) -> str:
    """Make a Dagster run id fit for OpenLineage, which takes UUIDs only.

    Args:
        instant: the Dagster run's stored creation time.
        run_id: a Dagster run id; tests and importers may use any text.

    Returns:
        The same id in the canonical form, or one made from it.
    """
    try:
        return str(UUID(run_id))
    except ValueError:
        return static_run_id(instant, "run", run_id)


@lru_cache(maxsize=16384)
def _asset_dataset(
    template: NamespaceTemplate, tokens: _Tokens, tags: _Tags, key: AssetKey
) -> DatasetName:
    namespace = safe_dataset_namespace(_resolved(template, tokens, tags))
    return DatasetName(namespace, safe_name(asset_path(key)))


@lru_cache(maxsize=1024)
def _job_namespace(template: NamespaceTemplate, tokens: _Tokens, tags: _Tags) -> str:
    return safe_job_namespace(_resolved(template, tokens, tags))


def _resolved(template: NamespaceTemplate, tokens: _Tokens, tags: _Tags) -> str:
    return template.resolve(dict(zip(PLAIN_TOKENS, tokens, strict=True)), dict(tags))
