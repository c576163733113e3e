"""Keeps the definitions of a run that starts, and what its process adds, in the instance."""

import json
import os

from dagster import DagsterInstance, EventLogEntry

from openlineage_dagster_core.facts.executing import executing_definitions
from openlineage_dagster_core.facts.model import Definitions
from openlineage_dagster_core.key_values import KeyValues, parsed
from openlineage_dagster_core.settings import Settings
from openlineage_dagster_core.snapshots.definitions_codec import (
    decode_asset,
    encode_asset,
    encode_job,
)
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
    assets = {row: encode_asset(asset) for row, asset in defined.items()}
    job = definitions.jobs.get(job_name)
    job_text = encode_job(job) if job is not None else None
    digests = {row: digest_of(text) for row, text in assets.items()}
    selection = digest_of(json.dumps([sorted(digests.items()), digest_of(job_text or "")]))
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
        # The code location that makes an asset defines it; another one only names it.
        is_known_better = defined[each].is_external and _is_made(history)
        if history.latest != digests[each] and not is_known_better:
            history.add(at, text)
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


def _is_made(history: History) -> bool:
    """Return True where the latest version comes from a code location that makes the asset."""
    return history.latest is not None and not decode_asset(history.text(history.latest)).is_external


def keep_process_facts(key_values: KeyValues, run_id: str, facts: Definitions) -> None:
    """Keep what the executing process adds to a run, where it adds anything."""
    if facts == Definitions():
        return
    row = run_row(run_id)
    key_values.put({row: added(key_values.get([row]).get(row), run_id, facts)})
