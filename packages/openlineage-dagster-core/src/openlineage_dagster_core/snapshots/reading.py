"""Finds the definitions that held for a run among those that runs have kept in the instance."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar, cast

from dagster import AssetKey, DagsterInstance

from openlineage_dagster_core import fault
from openlineage_dagster_core.facts.definitions import upstream_of
from openlineage_dagster_core.facts.model import AssetFacts, Definitions, JobFacts
from openlineage_dagster_core.key_values import KeyValues
from openlineage_dagster_core.snapshots.definitions_codec import decode_asset, decode_job
from openlineage_dagster_core.snapshots.history import EPOCH_ROW, History, asset_row, job_row
from openlineage_dagster_core.snapshots.process_facts import found, run_row

ASSETS_REMEMBERED = 5000
RUNS_REMEMBERED = 5000
DECODED_BYTES = 4_000_000  # Bytes of text of decoded versions; objects take several times as much

_Facts = TypeVar("_Facts", AssetFacts, JobFacts)

logger = logging.getLogger(__name__)


class KeptDefinitions:
    """Gives a run the definitions that its own process kept, and other events the latest by then.

    `otherwise` defines the assets and jobs that no run has kept, such as those of a code location.
    """

    def __init__(
        self, instance: Callable[[], DagsterInstance], otherwise: Definitions | None = None
    ) -> None:
        self._instance = instance
        self._otherwise = otherwise or Definitions()
        self._epoch: str | None = None
        self._assets: OrderedDict[AssetKey, History] = OrderedDict()
        self._jobs: dict[str, History] = {}
        self._processes: OrderedDict[str, Definitions] = OrderedDict()
        self._decoded: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self._decoded_bytes = 0

    def prepare(self, run_ids: Collection[str], keys: Collection[AssetKey]) -> None:
        """Read with few queries what `of_run` and `at` need soon for these runs and assets."""
        rows = {run_row(run_id) for run_id in run_ids}
        values = KeyValues(self._instance()).get([EPOCH_ROW, *sorted(rows)])
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
        """Return the definitions that the process of a run kept.

        A run that started, `at` seconds since the epoch, before any version of its job was kept
        gets the first versions.
        """
        if run_id not in self._processes:
            self.prepare([run_id], [])
        history = self._job_history(job_name)
        is_kept = history.at(at) is not None
        digest = history.at(at) or history.first
        job = self._version(history, digest, "a job", decode_job)
        return replace(
            self._processes.get(run_id, Definitions()),
            assets=_AssetsAt(self, at, or_first=not is_kept),
            jobs={job_name: job} if job is not None else self._otherwise.jobs,
        )

    def at(self, at: float) -> Definitions:
        """Return the definitions kept by a time, for an event reported from outside any run.

        A later replay finds the same.
        """
        return Definitions(assets=_AssetsAt(self, at))

    def asset(self, key: AssetKey, at: float, *, or_first: bool = False) -> AssetFacts | None:
        """Return an asset as it was defined at a time; None where no definition is known.

        `or_first` takes the first version where none was kept by then.
        """
        if key not in self._assets and self._epoch is not None:
            self._read([key])
        history = self._assets.get(key, History())
        digest = history.at(at) or (history.first if or_first else None)
        asset = self._version(history, digest, "an asset", decode_asset)
        return asset if asset is not None else self._otherwise.assets.get(key)

    def _version(
        self, history: History, digest: str | None, kind: str, decode: Callable[[str], _Facts]
    ) -> _Facts | None:
        """Return a version, decoded now or before; None without a digest or a text to read."""
        if digest is None:
            return None
        known = self._decoded.get(digest)
        if known is not None:
            self._decoded.move_to_end(digest)
            return cast("_Facts | None", known[0])
        found, text = None, ""
        try:
            text = history.text(digest)
            found = decode(text)
        except Exception as error:
            # Two processes wrote at one time, or a later version of ours wrote it.
            message = "OpenLineage: a kept definition of %s cannot be read and is left out: %s"
            logger.warning(message, kind, fault.described(error))
        self._decoded[digest] = (found, len(text))
        self._decoded_bytes += len(text)
        while self._decoded_bytes > DECODED_BYTES and len(self._decoded) > 1:
            _, (_, size) = self._decoded.popitem(last=False)
            self._decoded_bytes -= size
        return found

    def _job_history(self, name: str) -> History:
        if self._epoch is None:
            return History()
        if name not in self._jobs:
            row = job_row(name)
            stored = KeyValues(self._instance()).get_long([row])
            self._jobs[name] = History.from_text(stored.get(row))
        return self._jobs[name]

    def _read(self, keys: Collection[AssetKey]) -> None:
        rows = {asset_row(key.path): key for key in keys if key not in self._assets}
        values = KeyValues(self._instance()).get_long(sorted(rows)) if rows else {}
        for row, key in rows.items():
            self._assets[key] = History.from_text(values.get(row))
        while len(self._assets) > ASSETS_REMEMBERED:
            self._assets.popitem(last=False)

    def _read_with(self, key: AssetKey) -> set[AssetKey]:
        """List the assets that the latest version of an asset depends on."""
        history = self._assets.get(key)
        if history is None:
            return set()
        asset = self._version(history, history.latest, "an asset", decode_asset)
        return upstream_of(asset) if asset is not None else set()


class _AssetsAt(Mapping[AssetKey, AssetFacts]):
    """The assets as they were defined at a time; looking one up reads it."""

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
