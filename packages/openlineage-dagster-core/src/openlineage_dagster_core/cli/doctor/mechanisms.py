"""Checks that exactly one mechanism is set up, and that runs and events are stored together."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from openlineage_dagster_core.cli.doctor.finding import Finding, fine, note, problem, warning
from openlineage_dagster_core.cli.doctor.subject import Subject
from openlineage_dagster_core.cli.foreign_json import Json, mapping

SET_ONE_UP = (
    "Wrap the storage in dagster.yaml (pip install openlineage-dagster-storage; storage: custom: "
    "module: dagster_openlineage, class: OpenLineageDagsterStorage), or add openlineage_sensor() "
    "to the definitions (pip install openlineage-dagster-sensor)."
)
REMOVE_ONE = "Keep one of them: unwrap the storage in dagster.yaml, or remove the sensor."
NAME_DEFINITIONS = "Name the definitions with -m or -f to check them."
# What Dagster's default storages make in `history` in the instance's directory
RUNS_DATABASE = "runs.db"
EVENTS_FOLDER = "runs"
_WHOLE_STORAGES = {
    "PostgresEventLogStorage": ("dagster_postgres", "DagsterPostgresStorage"),
    "MySQLEventLogStorage": ("dagster_mysql", "DagsterMySQLStorage"),
}


def check(subject: Subject) -> Iterator[Finding]:
    """Check the mechanisms and the storages."""
    yield from _check_mechanism(subject)
    if len(subject.sensors) > 1:
        names = ", ".join(sensor.name for sensor in subject.sensors)
        several = f"there are several sensors of Mechanism B, and each sends everything: {names}"
        yield problem(several, "Keep one of them: it serves the whole instance.")
    yield from _check_run_storage(subject.written or {})
    yield from _check_base_dir(subject)
    if subject.settings.sql_lineage and find_spec("sqlglot") is None:
        missing = "sql_lineage is on, and sqlglot, which parses queries, is not installed here"
        step = 'pip install "openlineage-dagster-core[sql]" wherever events are delivered.'
        yield warning(missing, step)


def _check_mechanism(subject: Subject) -> Iterator[Finding]:
    is_named = subject.repository is not None
    sensors = [sensor.name for sensor in subject.sensors]
    running = [state.name for state in subject.sensor_states if state.is_running]
    if subject.has_storage and sensors:
        yield problem(
            f"both are configured: the storage in dagster.yaml, and the sensor {sensors[0]}, "
            "which therefore emits nothing",
            REMOVE_ONE,
        )
    elif subject.has_storage:
        yield fine("Mechanism A: the storage in dagster.yaml sends the events")
        if running and not is_named:
            yield warning(
                f"the sensor {running[0]} runs in this instance, or did until it was removed; with "
                "the storage wrapped it emits nothing",
                f"{REMOVE_ONE} {NAME_DEFINITIONS}",
            )
        elif not is_named:
            yield note("the definitions may have the sensor as well", NAME_DEFINITIONS)
    elif subject.written is None:
        known = f"the definitions have the sensor {sensors[0]}; " if sensors else ""
        yield note(f"{known}whether the storage is wrapped is not known without dagster.yaml")
    elif sensors:
        yield fine(f"Mechanism B: the sensor {sensors[0]} sends the events")
    elif running:
        yield fine(f"Mechanism B: the sensor {running[0]} runs in this instance")
    elif is_named:
        yield problem("neither is set up: nothing sends what Dagster records", SET_ONE_UP)
    else:
        maybe = "the storage is not wrapped; the definitions may have the sensor"
        yield note(maybe, NAME_DEFINITIONS)


def _check_run_storage(written: Json) -> Iterator[Finding]:
    """Find the trap that Dagster silently puts a storage that is not named into SQLite."""
    event_log = mapping(written, "event_log_storage")
    if not event_log:
        return
    missing = [name for name in ("run_storage", "schedule_storage") if name not in written]
    stored_in = str(_innermost(event_log).get("class"))
    if not missing or "sqlite" in stored_in.lower():
        return
    module, name = _WHOLE_STORAGES.get(stored_in, ("the module", "the class of the whole storage"))
    yield warning(
        f"dagster.yaml has event_log_storage ({stored_in}) without {' and '.join(missing)}, so "
        "Dagster keeps those in SQLite on this machine's disk",
        "Instead of event_log_storage write storage: {custom: {module: dagster_openlineage, class: "
        "OpenLineageDagsterStorage, config: {wrapped: {"
        f"module: {module}, class: {name}, config: …}}}}}}}}, or name all three storages.",
    )


def _check_base_dir(subject: Subject) -> Iterator[Finding]:
    """Find an SQLite event log in the directory of the runs: wiping the log deletes the runs."""
    event_log = mapping(subject.written, "event_log_storage")
    given = mapping(_innermost(event_log), "config").get("base_dir")
    if isinstance(given, dict):
        given = subject.environ.get(str(given.get("env")))
    folder = Path(given) if isinstance(given, str) else None
    if folder is None or not (folder / RUNS_DATABASE).exists():
        return
    files = folder / EVENTS_FOLDER
    before = f"; Dagster does not see earlier events in {files}" if files.is_dir() else ""
    yield problem(
        f"base_dir ({folder}) is the directory of the runs: `dagster run wipe` deletes the files "
        f"there, {RUNS_DATABASE} included{before}",
        f"Stop Dagster, copy {folder}, move every .db file but {RUNS_DATABASE} from there to "
        f"{files}, and write base_dir: {files}.",
    )


def _innermost(storage: Json) -> Json:
    """Return the configuration of the storage inside all wrappers."""
    wrapped = mapping(storage, "config", "wrapped")
    return _innermost(wrapped) if wrapped else storage
