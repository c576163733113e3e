"""Keeps the definitions of a run that starts, and what its process adds, in the instance."""

import json
import os
from dataclasses import replace

from dagster import DagsterInstance, EventLogEntry

from openlineage_dagster_core.facts.executing import executing_definitions
from openlineage_dagster_core.facts.model import AssetFacts, Definitions
from openlineage_dagster_core.key_values import KeyValues, parsed
from openlineage_dagster_core.settings import Settings
from openlineage_dagster_core.snapshots import definitions_codec as codec
from openlineage_dagster_core.snapshots.history import (
    EPOCH_ROW,
    History,
    asset_row,
    digest_of,
    job_row,
)
from openlineage_dagster_core.snapshots.process_facts import added, process_facts, run_row

SELECTIONS_KEPT = 100  # Selections of a job's assets whose definitions the job's row says are kept


def keep_snapshot(instance: DagsterInstance, event: EventLogEntry, settings: Settings) -> None:
    """Keep the definitions of a run at RUN_START, and the parent and variables of its process.

    The definitions are found on the stack. A process without a transport keeps them, too: a
    deliverer elsewhere may have one.
    """
    key_values = KeyValues(instance)
    process = process_facts(os.environ, settings)
    keep_process_facts(key_values, event.run_id, process)
    if process.is_disabled:
        return
    definitions = executing_definitions(settings.source_code_bytes)
    if definitions is not None:
        job_name = event.job_name or next(iter(definitions.jobs), "")
        keep_definitions(key_values, job_name, definitions, event.timestamp)


def keep_definitions(
    key_values: KeyValues, job_name: str, definitions: Definitions, at: float
) -> None:
    """Keep the definitions of a run that starts `at` seconds since the epoch.

    Where the assets and the job are as they were at the last run, this reads one row and writes
    nothing.
    """
    defined = {asset_row(asset.key.path): asset for asset in definitions.assets.values()}
    assets = {row: codec.encode_asset(asset) for row, asset in defined.items()}
    job = definitions.jobs.get(job_name)
    job_text = codec.encode_job(job) if job is not None else None
    digests = sorted((row, digest_of(text)) for row, text in assets.items())
    selection = digest_of(json.dumps([digests, digest_of(job_text or "")]))
    row = job_row(job_name)
    stored = key_values.get_long([EPOCH_ROW, row])
    epoch, of_job = stored.get(EPOCH_ROW), parsed(stored.get(row))
    selections = of_job.get("selections", []) if of_job.get("epoch") == epoch else []
    if epoch is not None and selection in selections:
        return
    histories = {
        each: History.from_text(text) for each, text in key_values.get_long(assets.keys()).items()
    }
    written: dict[str, str] = {}
    for each, text in assets.items():
        history = histories.get(each, History())
        if _keep_asset(history, defined[each], text, definitions.origin, at):
            written[each] = history.to_text()
    history = History.from_object(of_job)
    is_new_job = job_text is not None and history.latest != digest_of(job_text)
    if job_text is not None and is_new_job:
        history.add(at, job_text)
    if written or is_new_job or epoch is None:
        selections, epoch = [], f"{at}-{os.getpid()}"
        written[EPOCH_ROW] = epoch
    selections = [*selections, selection][-SELECTIONS_KEPT:]
    of_job = {**vars(history), "epoch": epoch, "selections": selections}
    written[row] = json.dumps(of_job, separators=(",", ":"))
    # The assets come first: a process that reads the new epoch finds them.
    last = {name: written.pop(name) for name in (EPOCH_ROW, row) if name in written}
    key_values.put_long(written)
    key_values.put_long(last)


def _keep_asset(
    history: History, asset: AssetFacts, text: str, origin: str | None, at: float
) -> bool:
    """Add an asset to its history; return False if that changes nothing.

    What makes an asset knows more of it than a spec, and a spec more than a stub; of equals the
    later one counts. A code location may always replace what it kept itself; a run launched in
    process has none. Checks stay: they may be of another code location.
    """
    before = (history.latest, history.origin)
    latest = _latest(history) if history.latest != digest_of(text) else None
    if latest is not None:
        is_own = origin is not None and origin == history.origin
        checks = dict(sorted({**latest.checks, **asset.checks}.items()))
        if _rank(asset) < _rank(latest) and not is_own:
            if checks == latest.checks:
                return False
            asset, origin = latest, history.origin
        text = codec.encode_asset(replace(asset, checks=checks))
    if history.latest != digest_of(text):
        history.add(at, text)
        history.origin = origin or history.origin
    history.origin = history.origin or origin
    return (history.latest, history.origin) != before


def _rank(asset: AssetFacts) -> int:
    return int(not asset.is_stub) + int(not asset.is_external)


def _latest(history: History) -> AssetFacts | None:
    try:
        return codec.decode_asset(history.text(history.latest or ""))
    except Exception:
        # The history is empty, or a version of this package that this one cannot read wrote it.
        return None


def keep_process_facts(key_values: KeyValues, run_id: str, facts: Definitions) -> None:
    """Keep what the executing process adds to a run, where it adds anything."""
    if facts == Definitions():
        return
    row = run_row(run_id)
    key_values.put({row: added(key_values.get([row]).get(row), run_id, facts)})
