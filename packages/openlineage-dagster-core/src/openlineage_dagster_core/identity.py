"""Who is who: dataset and job names, namespaces, and the run ids that every process agrees on."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from dagster import AssetKey
from openlineage.client.uuid import generate_static_uuid

from openlineage_dagster_core.facts.model import AssetFacts, RunFacts
from openlineage_dagster_core.names import (
    safe_dataset_namespace,
    safe_job_namespace,
    safe_name,
)
from openlineage_dagster_core.namespaces import NamespaceTemplate
from openlineage_dagster_core.settings import Settings

CHECKS_SUFFIX = "__checks"
OBSERVATIONS_SUFFIX = "__observations"

_MAPPING_INDEX = re.compile(r"\[[^\[\]]*\]$")


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


def dataset_name(key: AssetKey) -> str:
    r"""Name the dataset of an asset, which is the name of its job as well.

    Args:
        key: the asset's key.

    Returns:
        `a/b`, made safe; a slash inside a component is written `\/` so that different keys have
        different names.
    """
    return safe_name(asset_path(key))


def asset_path(key: AssetKey) -> str:
    r"""Write an asset key as one text.

    Args:
        key: the asset's key.

    Returns:
        `a/b`, with slashes inside components written `\/`.
    """
    # Not AssetKey.to_escaped_user_string: 1.11 leaves backslashes alone, later versions do not.
    return "/".join(part.replace("\\", "\\\\").replace("/", "\\/") for part in key.path)


def step_job_name(job_name: str, step_key: str) -> str:
    """Name the job of a step.

    Args:
        job_name: the Dagster job.
        step_key: the full step key, such as `load[2024]`.

    Returns:
        `job.step`, without the index of a mapped step.
    """
    return safe_name(f"{job_name}.{_MAPPING_INDEX.sub('', step_key)}")


def checks_job_name(key: AssetKey) -> str:
    """Name the job that stands for an asset's checks.

    Args:
        key: the checked asset's key.

    Returns:
        `a/b__checks`.
    """
    return safe_name(asset_path(key) + CHECKS_SUFFIX)


def observations_job_name(key: AssetKey) -> str:
    """Name the job that stands for observing an asset.

    Args:
        key: the observed asset's key.

    Returns:
        `a/b__observations`.
    """
    return safe_name(asset_path(key) + OBSERVATIONS_SUFFIX)


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
        return safe_job_namespace(self._resolve(self.settings.job_namespace, run, None))

    def dataset_namespace(self, run: RunFacts, asset: AssetFacts | None) -> str:
        """Resolve the namespace of a dataset.

        Args:
            run: the Dagster run that names the dataset.
            asset: the asset's definition, where it is known.

        Returns:
            The namespace.
        """
        return safe_dataset_namespace(self._resolve(self.settings.namespace_template, run, asset))

    def _resolve(self, template: NamespaceTemplate, run: RunFacts, asset: AssetFacts | None) -> str:
        values = {
            "namespace": self.settings.namespace,
            "code_location": run.code_location,
            "repository": run.repository,
            "group": asset.group if asset else None,
        }
        tags = run.tags if self.settings.resolve_run_tags else {}
        return template.resolve(values, tags)

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

    def checks_run_id(self, run: RunFacts, key: AssetKey) -> str:
        """Give the run id of an asset's checks in a Dagster run.

        Args:
            run: the Dagster run.
            key: the checked asset's key.

        Returns:
            A UUID.
        """
        return static_run_id(run.created_at, "checks", run.run_id, asset_path(key))

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
        names = ("observation", run.run_id, asset_path(key), partition, repr(timestamp))
        return static_run_id(run.created_at, *names)


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
