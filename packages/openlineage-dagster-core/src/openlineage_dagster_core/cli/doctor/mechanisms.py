"""Checks that one mechanism is set up, and not both, and that runs stay where events are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from openlineage_dagster_core.cli.doctor import sensor_state
from openlineage_dagster_core.cli.doctor.finding import Finding, fine, note, problem, warning
from openlineage_dagster_core.cli.doctor.subject import Subject

CHECK = "mechanisms"

HOW_TO_SET_ONE_UP = (
    "Wrap the storage in dagster.yaml (pip install openlineage-dagster-storage; storage: custom: "
    "module: dagster_openlineage, class: OpenLineageDagsterStorage), or add openlineage_sensor() "
    "to the definitions (pip install openlineage-dagster-sensor)."
)
REMOVE_ONE = "Keep one of them: unwrap the storage in dagster.yaml, or remove the sensor."

SEE_THE_SENSOR = "Name the definitions with -m or -f to have them looked at."

RUNS_DATABASE = "runs.db"
EVENTS_FOLDER = "runs"
"""What Dagster's default storages have in `history` of the instance's directory."""

_WHOLE_STORAGES = {
    "PostgresEventLogStorage": ("dagster_postgres", "DagsterPostgresStorage"),
    "MySQLEventLogStorage": ("dagster_mysql", "DagsterMySQLStorage"),
}


def look(subject: Subject) -> Iterator[Finding]:
    """Check the mechanisms.

    Args:
        subject: what is examined.

    Yields:
        What was found.
    """
    yield from _which(subject)
    if len(subject.sensors) > 1:
        names = ", ".join(sensor.name for sensor in subject.sensors)
        yield problem(
            CHECK,
            f"there are several sensors of Mechanism B, and each sends everything: {names}",
            "Keep one of them: it serves the whole instance.",
        )
    yield from _runs_elsewhere(subject.written or {})
    yield from _beside_runs(subject)


def _which(subject: Subject) -> Iterator[Finding]:
    sensors = [sensor.name for sensor in subject.sensors]
    running = [state.name for state in sensor_state.states(subject) if state.is_running]
    if subject.has_storage:
        if sensors:
            yield problem(
                CHECK,
                f"both are configured: the storage in dagster.yaml, and the sensor {sensors[0]}, "
                "which emits nothing beside it",
                REMOVE_ONE,
            )
            return
        yield fine(CHECK, "Mechanism A: the storage in dagster.yaml sends the events")
        if running and subject.repository is None:
            yield warning(
                CHECK,
                f"the sensor {running[0]} runs in this instance, or did until it was removed; with "
                "the storage wrapped it emits nothing",
                f"{REMOVE_ONE} {SEE_THE_SENSOR}",
            )
        elif subject.repository is None:
            yield _not_seen()
    elif subject.written is None:
        known = f"the definitions have the sensor {sensors[0]}; " if sensors else ""
        yield note(
            CHECK, f"{known}whether the storage is wrapped is not known without dagster.yaml"
        )
    elif sensors:
        yield fine(CHECK, f"Mechanism B: the sensor {sensors[0]} sends the events")
    elif running:
        yield fine(CHECK, f"Mechanism B: the sensor {running[0]} runs in this instance")
    elif subject.repository is not None:
        yield problem(
            CHECK, "neither is set up: nothing sends what Dagster records", HOW_TO_SET_ONE_UP
        )
    else:
        yield note(
            CHECK,
            "the storage is not wrapped, and whether the definitions have the sensor is not seen",
            SEE_THE_SENSOR,
        )


def _not_seen() -> Finding:
    return note(
        CHECK, "whether the definitions have the sensor as well is not seen", SEE_THE_SENSOR
    )


def _runs_elsewhere(written: Mapping[str, object]) -> Iterator[Finding]:
    """Find the trap: Dagster puts what is not named into SQLite, without a word."""
    event_log = written.get("event_log_storage")
    if not isinstance(event_log, Mapping):
        return
    missing = [name for name in ("run_storage", "schedule_storage") if name not in written]
    stored_in = _innermost(event_log)
    if not missing or "sqlite" in stored_in.lower():
        return
    module, name = _WHOLE_STORAGES.get(stored_in, ("the module", "the class of the whole storage"))
    yield warning(
        CHECK,
        f"dagster.yaml has event_log_storage ({stored_in}) without {' and '.join(missing)}: those "
        "are in SQLite on this machine's disk",
        "Instead of event_log_storage write storage: {custom: {module: dagster_openlineage, class: "
        "OpenLineageDagsterStorage, config: {wrapped: {"
        f"module: {module}, class: {name}, config: …}}}}}}}}, or name all three storages.",
    )


def _beside_runs(subject: Subject) -> Iterator[Finding]:
    """Find an SQLite event log in the directory of the runs: wiping it deletes them."""
    event_log = (subject.written or {}).get("event_log_storage")
    config = _inner(event_log).get("config") if isinstance(event_log, Mapping) else None
    given = config.get("base_dir") if isinstance(config, Mapping) else None
    if isinstance(given, Mapping):
        given = subject.environ.get(str(given.get("env")))
    folder = Path(given) if isinstance(given, str) else None
    if folder is None or not (folder / RUNS_DATABASE).exists():
        return
    files = folder / EVENTS_FOLDER
    before = f"; events from before are in {files}, and not seen" if files.is_dir() else ""
    yield problem(
        CHECK,
        f"base_dir ({folder}) is the directory of the runs: `dagster run wipe` deletes the files "
        f"there, {RUNS_DATABASE} included{before}",
        f"Stop Dagster, copy {folder}, move every .db file but {RUNS_DATABASE} from there to "
        f"{files}, and write base_dir: {files}.",
    )


def _innermost(storage: Mapping[str, object]) -> str:
    return str(_inner(storage).get("class"))


def _inner(storage: Mapping[str, object]) -> Mapping[str, object]:
    config = storage.get("config")
    wrapped = config.get("wrapped") if isinstance(config, Mapping) else None
    return _inner(wrapped) if isinstance(wrapped, Mapping) else storage
