"""Finds the definitions that were valid for a run among what runs have kept in the instance."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from dagster import AssetKey

from openlineage_dagster_core import fault
from openlineage_dagster_core.facts.definitions import upstream_of
from openlineage_dagster_core.facts.model import AssetFacts, Definitions, JobFacts
from openlineage_dagster_core.key_values import KeyValues, parsed
from openlineage_dagster_core.snapshots.definitions_codec import decode_asset, decode_job
from openlineage_dagster_core.snapshots.history import EPOCH_ROW, History, asset_row, job_row
from openlineage_dagster_core.snapshots.process_facts import ProcessFacts, found, run_row

if TYPE_CHECKING:
    from collections.abc import Callable

    from dagster import DagsterInstance

ASSETS_REMEMBERED = 5000
DECODED_BYTES = 4_000_000
"""Text of decoded versions whose objects are kept: they take several times as much."""

RUNS_REMEMBERED = 5000

logger = logging.getLogger(__name__)


class KeptDefinitions:
    """Gives each run what its own process kept of it, and other events what was kept by then.

    Args:
        instance: gives the Dagster instance.
        otherwise: the definitions of what was not kept, such as those of a code location.
    """

    def __init__(
        self, instance: Callable[[], DagsterInstance], otherwise: Definitions | None = None
    ) -> None:
        self._instance = instance
        self._otherwise = otherwise or Definitions()
        self._key_values: tuple[DagsterInstance, KeyValues] | None = None
        self._epoch: str | None = None
        self._assets: OrderedDict[AssetKey, History] = OrderedDict()
        self._jobs: dict[str, History] = {}
        self._processes: OrderedDict[str, ProcessFacts] = OrderedDict()
        self._decoded: OrderedDict[str, tuple[AssetFacts | None, int]] = OrderedDict()
        self._decoded_bytes = 0
        self._decoded_jobs: dict[str, JobFacts | None] = {}

    def prepare(self, run_ids: Collection[str], keys: Collection[AssetKey]) -> None:
        """Read together what `of_run` and `at` will be asked for soon.

        Args:
            run_ids: Dagster runs that start.
            keys: assets that they, or events outside runs, are about.
        """
        rows = {run_row(run_id) for run_id in run_ids}
        values = self._table().get([EPOCH_ROW, *sorted(rows)])
        if values.get(EPOCH_ROW) != self._epoch:
            self._epoch = values.get(EPOCH_ROW)
            self._assets.clear()
            self._jobs.clear()
        for run_id in run_ids:
            self._processes[run_id] = found(values.get(run_row(run_id)), run_id)
            self._processes.move_to_end(run_id)
        while len(self._processes) > RUNS_REMEMBERED:
            self._processes.popitem(last=False)
        if self._epoch is not None:
            self._read(keys)
            self._read({each for key in keys for each in self._read_with(key)})

    def of_run(self, run_id: str, job_name: str, at: float) -> Definitions:
        """Give the definitions of a run.

        Args:
            run_id: the Dagster run id.
            job_name: the Dagster job.
            at: when the run started, in seconds since the epoch.

        Returns:
            What its process kept. For a run from before anything was kept of its job, the first
            versions that were kept.
        """
        if run_id not in self._processes:
            self.prepare([run_id], [])
        process = self._processes.get(run_id, ProcessFacts())
        history = self._job_history(job_name)
        is_kept = history.at(at) is not None
        digest = history.at(at) if is_kept else history.first
        job = self._job_of(history, digest) if digest is not None else None
        return Definitions(
            assets=_AssetsAt(self, at, or_first=not is_kept),
            jobs={job_name: job} if job is not None else self._otherwise.jobs,
            parent=process.parent,
            environment=process.environment,
            is_disabled=process.is_disabled,
        )

    def at(self, at: float) -> Definitions:
        """Give the definitions for an event reported from outside any run.

        Args:
            at: when it happened, in seconds since the epoch.

        Returns:
            What had been kept by then; a later replay finds the same.
        """
        return Definitions(assets=_AssetsAt(self, at))

    def asset(self, key: AssetKey, at: float, *, or_first: bool = False) -> AssetFacts | None:
        """Find an asset as it was defined at a time.

        Args:
            key: the asset's key.
            at: in seconds since the epoch.
            or_first: where nothing was kept by then, the first version that was kept holds.

        Returns:
            The asset; None where nothing is known of it.
        """
        if key not in self._assets and self._epoch is not None:
            self._read([key])
        history = self._assets.get(key, History())
        digest = history.at(at) or (history.first if or_first else None)
        asset = self._asset_of(history, digest) if digest is not None else None
        return asset if asset is not None else self._otherwise.assets.get(key)

    def _asset_of(self, history: History, digest: str) -> AssetFacts | None:
        known = self._decoded.get(digest)
        if known is not None:
            self._decoded.move_to_end(digest)
            return known[0]
        asset, text = None, ""
        try:
            text = history.text(digest)
            asset = decode_asset(text)
        except Exception as error:
            _warn("an asset", error)
        self._decoded[digest] = (asset, len(text))
        self._decoded_bytes += len(text)
        while self._decoded_bytes > DECODED_BYTES and len(self._decoded) > 1:
            _, (_, size) = self._decoded.popitem(last=False)
            self._decoded_bytes -= size
        return asset

    def _job_history(self, name: str) -> History:
        if self._epoch is None:
            return History()
        if name not in self._jobs:
            row = job_row(name)
            text = self._table().get_long([row]).get(row)
            self._jobs[name] = History.from_object(parsed(text))
        return self._jobs[name]

    def _job_of(self, history: History, digest: str) -> JobFacts | None:
        if digest not in self._decoded_jobs:
            self._decoded_jobs[digest] = None
            try:
                self._decoded_jobs[digest] = decode_job(history.text(digest))
            except Exception as error:
                _warn("a job", error)
        return self._decoded_jobs[digest]

    def _read(self, keys: Collection[AssetKey]) -> None:
        rows = {asset_row(key.path): key for key in keys if key not in self._assets}
        values = self._table().get_long(sorted(rows)) if rows else {}
        for row, key in rows.items():
            self._assets[key] = History.from_text(values.get(row))
        while len(self._assets) > ASSETS_REMEMBERED:
            self._assets.popitem(last=False)

    def _read_with(self, key: AssetKey) -> set[AssetKey]:
        """List the assets that are told with an asset: those that its latest version depends on."""
        history = self._assets.get(key)
        if history is None or history.latest is None:
            return set()
        asset = self._asset_of(history, history.latest)
        return upstream_of(asset) if asset is not None else set()

    def _table(self) -> KeyValues:
        instance = self._instance()
        if self._key_values is None or self._key_values[0] is not instance:
            self._key_values = (instance, KeyValues(instance))
        return self._key_values[1]


def _warn(kind: str, error: Exception) -> None:
    """Two processes may have written it at one time, or a later version of ours did."""
    logger.warning(
        "OpenLineage: a kept definition of %s cannot be read and is left out: %s",
        kind,
        fault.described(error),
    )


class _AssetsAt(Mapping[AssetKey, AssetFacts]):
    """The assets as they were defined at a time, each read when it is asked for."""

    def __init__(self, kept: KeptDefinitions, at: float, *, or_first: bool = False) -> None:
        self._kept = kept
        self._at = at
        self._or_first = or_first

    def __getitem__(self, key: AssetKey) -> AssetFacts:
        asset = self._kept.asset(key, self._at, or_first=self._or_first)
        if asset is None:
            raise KeyError(key)
        return asset

    def __iter__(self) -> Iterator[AssetKey]:
        return iter(())

    def __len__(self) -> int:
        return 0
