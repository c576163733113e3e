"""Who is who: dataset and job names, namespaces, and the run ids that every process agrees on."""

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
from openlineage_dagster_core.names import safe_dataset_namespace, safe_job_namespace, safe_name
from openlineage_dagster_core.namespaces import PLAIN_TOKENS, NamespaceTemplate
from openlineage_dagster_core.options import DatasetIdentity, KeySeparator, RunIds
from openlineage_dagster_core.physical import PhysicalName, physical_name
from openlineage_dagster_core.settings import Settings

RUN_SUFFIX = "__run"
CHECKS_SUFFIX = "__checks"
OBSERVATIONS_SUFFIX = "__observations"
ASSET_SUFFIX = ":asset"  # No name of a Dagster job or a step has a colon
# A user's name that ends so gets one more suffix, so that it names nothing else.
SUFFIXES = (RUN_SUFFIX, CHECKS_SUFFIX, OBSERVATIONS_SUFFIX, ASSET_SUFFIX)

DEFAULT_GROUP_NAME = "default"  # Of Dagster

_Tokens = tuple[str, str | None, str | None, str | None]
_Tags = tuple[tuple[str, str], ...]
_NOT_IN_A_WORD = re.compile(r"\W", re.ASCII)
_NOT_IN_A_STEP = re.compile(r"[^\w.\[\]{}]")  # Nor in the name of a Dagster job
_MAPPING_INDEX = re.compile(r"\[[^\[\]]*\]$")


@lru_cache(maxsize=16384)
def static_run_id(instant: datetime, *names: str | None) -> str:
    """Return the UUID of a run, the same in any process.

    `instant` is the stored creation time of the Dagster run, by which ids sort; `names` tell the
    run from the others of that Dagster run.
    """
    # JSON keeps the parts apart: ("a", "b/c") and ("a/b", "c") must differ.
    return str(generate_static_uuid(instant, json.dumps(names).encode()))


@lru_cache(maxsize=1024)
def canonical_run_id(instant: datetime, run_id: str) -> str:
    """Return the UUID of a Dagster run: its id, or one made from it where it is other text."""
    try:
        return str(UUID(run_id))
    except ValueError:
        return static_run_id(instant, "run", run_id)


def step_run_id(run: RunFacts, step_key: str) -> str:
    """Return the run id of a step, given its full step key."""
    return static_run_id(run.created_at, "step", run.run_id, step_key)


def asset_run_id(
    run: RunFacts,
    key: AssetKey,
    partition: str | None,
    kind: str = "asset",
    timestamp: float | None = None,
) -> str:
    """Return the run id of an asset's materialization, checks or observation in a run.

    `kind` says which of them it is. The time tells apart what a Dagster run may repeat.
    """
    names = [kind, run.run_id, asset_path(key), partition]
    return static_run_id(run.created_at, *names, *([] if timestamp is None else [repr(timestamp)]))


class DatasetName(NamedTuple):
    """Namespace and name of a dataset, both made safe."""

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


@lru_cache(maxsize=16384)
def _job_path(template: str, key: AssetKey, group: str | None) -> str:
    """Return what all names of an asset's jobs begin with, different for each key.

    It has a suffix where it could be the name of a step.
    """
    # A group of several levels has slashes, as keys do.
    word = _NOT_IN_A_WORD.sub("_", group or DEFAULT_GROUP_NAME)
    path = template.replace("{group}", word).replace("{key}", asset_path(key))
    is_like_a_step = len(key.path) == 1 and "." in path and not _NOT_IN_A_STEP.search(template)
    return path + ASSET_SUFFIX if is_like_a_step or path.endswith(ASSET_SUFFIX) else path


@lru_cache(maxsize=16384)
def asset_path(key: AssetKey, separator: str = "/") -> str:
    r"""Return an asset key as `a/b`, with slashes inside components written `\/`."""
    # Not AssetKey.to_escaped_user_string: 1.11 leaves backslashes alone, later versions do not.
    return separator.join(
        part.replace("\\", "\\\\").replace(separator, f"\\{separator}") for part in key.path
    )


def run_job_name(run: RunFacts, *, is_like_asset: bool) -> str:
    """Return the name of a Dagster run's job: the Dagster job's name.

    It has a suffix where an asset has that name as its key, or the name looks like a job of ours:
    the run has no datasets and would take those of the other job.
    """
    name = run.job_name
    return safe_name(name + RUN_SUFFIX if is_like_asset or name.endswith(SUFFIXES) else name)


def step_job_name(job_name: str, step_key: str) -> str:
    """Return `job.step` for a full step key, without the index of a mapped step."""
    return safe_name(f"{job_name}.{without_mapping_index(step_key)}")


def without_mapping_index(step_key: str) -> str:
    """Return `load` for the full step key `load[2024]`."""
    return _MAPPING_INDEX.sub("", step_key)


@dataclass(frozen=True)
class Identity:
    """Gives names and run ids under one configuration."""

    settings: Settings

    def run_id(self, run: RunFacts) -> str:
        """Return the UUID of a Dagster run itself."""
        if self.settings.run_ids is RunIds.SORTABLE:
            return static_run_id(run.created_at, "run", run.run_id)
        return canonical_run_id(run.created_at, run.run_id)

    def retried_run_id(self, run: RunFacts) -> str | None:
        """Return the UUID of the Dagster run that a run retries; None if it is not known."""
        if self.settings.run_ids is RunIds.SORTABLE:
            at = run.parent_created_at
            return static_run_id(at, "run", run.parent_run_id) if at is not None else None
        # The retried run was stored at another time; its own id gives that.
        return canonical_run_id(run.created_at, run.parent_run_id or "")

    def asset_job_name(self, key: AssetKey, asset: AssetFacts | None) -> str:
        """Return the name of the job that makes an asset: `a/b`, made safe.

        It has a suffix where it could be the name of a step, of a run or of another asset's checks;
        the asset's dataset has none. Without a definition the asset counts as in Dagster's default
        group.
        """
        path = self._job_path(key, asset)
        return safe_name(path + ASSET_SUFFIX if path.endswith(SUFFIXES[:-1]) else path)

    def checks_job_name(self, key: AssetKey, asset: AssetFacts | None) -> str:
        """Return `a/b__checks`, the job of an asset's checks."""
        return safe_name(self._job_path(key, asset) + CHECKS_SUFFIX)

    def observations_job_name(self, key: AssetKey, asset: AssetFacts | None) -> str:
        """Return `a/b__observations`, the job of observing an asset."""
        return safe_name(self._job_path(key, asset) + OBSERVATIONS_SUFFIX)

    def _job_path(self, key: AssetKey, asset: AssetFacts | None) -> str:
        group = asset.group if asset is not None else None
        return _job_path(self.settings.asset_job_name, key, group)

    def job_namespace(self, run: RunFacts) -> str:
        """Return the namespace of the jobs of a Dagster run."""
        template = self.settings.job_namespace
        return _job_namespace(template, *self._values(template, run, None))

    def dataset(self, run: RunFacts, key: AssetKey, asset: AssetFacts | None) -> DatasetName:
        """Return the name of an asset's dataset: on either side, and in column lineage."""
        physical = None
        if self.settings.dataset_identity is DatasetIdentity.PHYSICAL:
            physical = self.physical(key, asset)
        if physical is not None:
            return DatasetName(physical.namespace, physical.name)
        return self._of_asset(run, key, asset)

    def symlink(
        self, run: RunFacts, key: AssetKey, asset: AssetFacts | None
    ) -> tuple[DatasetName, Symlink] | None:
        """Return the name that `dataset` did not choose, if any, and what it names."""
        physical = self.physical(key, asset)
        if physical is None:
            return None
        if self.settings.dataset_identity is DatasetIdentity.PHYSICAL:
            return self._of_asset(run, key, asset), Symlink.ASSET
        kind = Symlink.TABLE if physical.is_table else Symlink.LOCATION
        return DatasetName(physical.namespace, physical.name), kind

    def _of_asset(self, run: RunFacts, key: AssetKey, asset: AssetFacts | None) -> DatasetName:
        template = self.settings.namespace_template
        values = self._values(template, run, asset)
        return _asset_dataset(template, *values, key, self.settings.dataset_key_separator)

    def physical(self, key: AssetKey, asset: AssetFacts | None) -> PhysicalName | None:
        """Return where an asset's data is, made safe; None where that is unknown."""
        if asset is None:
            return None
        found = physical_name(asset, asset_path(key), self.settings.dataset_namespaces)
        if found is None:
            return None
        namespace, name = safe_dataset_namespace(found.namespace), safe_name(found.name)
        return PhysicalName(namespace, name, found.is_table)

    def _values(
        self, template: NamespaceTemplate, run: RunFacts, asset: AssetFacts | None
    ) -> tuple[_Tokens, _Tags]:
        """Return the values of a template's tokens, and the tags that it names."""
        group = asset.group if asset is not None else None
        tokens = (self.settings.namespace, run.code_location, run.repository, group)
        if not (template.tags and self.settings.resolve_run_tags):
            return tokens, ()
        return tokens, tuple((key, run.tags.get(key, "")) for key in template.tags)


@lru_cache(maxsize=16384)
def _asset_dataset(
    template: NamespaceTemplate, tokens: _Tokens, tags: _Tags, key: AssetKey, by: KeySeparator
) -> DatasetName:
    namespace = safe_dataset_namespace(_resolved(template, tokens, tags))
    return DatasetName(namespace, safe_name(asset_path(key, by.value)))


@lru_cache(maxsize=1024)
def _job_namespace(template: NamespaceTemplate, tokens: _Tokens, tags: _Tags) -> str:
    return safe_job_namespace(_resolved(template, tokens, tags))


def _resolved(template: NamespaceTemplate, tokens: _Tokens, tags: _Tags) -> str:
    return template.resolve(dict(zip(PLAIN_TOKENS, tokens, strict=True)), dict(tags))
