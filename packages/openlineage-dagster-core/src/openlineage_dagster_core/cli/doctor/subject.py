"""The examined deployment, as far as it can be opened."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import yaml
from dagster import DagsterInstance, RepositoryDefinition, SensorDefinition
from dagster._core.scheduler.instigation import InstigatorState

from openlineage_dagster_core.cli import deployment
from openlineage_dagster_core.cli.code import CodeTarget, load
from openlineage_dagster_core.cli.delivery_status import sensor_states
from openlineage_dagster_core.cli.doctor.finding import Finding, bounded, fine, note, problem
from openlineage_dagster_core.cli.foreign_json import mapping
from openlineage_dagster_core.settings import ENV_DISABLED, ENV_URL, SENSOR_SETTINGS, Settings

OPENING_SECONDS = 30.0  # Seconds that opening the instance may take; Dagster retries a database
LOADING_SECONDS = 120.0  # Seconds that loading definitions may take: it runs the user's code
_WRAPPERS = frozenset({"OpenLineageDagsterStorage", "OpenLineageEventLogStorage"})


@dataclass(frozen=True)
class Subject:
    """A deployment: what is None is unknown, missing or broken."""

    environ: Mapping[str, str]
    written: Mapping[str, Any] | None = None  # The content of `dagster.yaml`
    instance: DagsterInstance | None = None
    repository: RepositoryDefinition | None = None  # The definitions in `code`
    code: CodeTarget = field(default_factory=CodeTarget)

    @property
    def storage(self) -> Any:
        """The event log storage if it is ours and the instance is open; else None."""
        found: Any = self.instance.event_log_storage if self.instance is not None else None
        return found if getattr(found, "openlineage_mechanism", None) is not None else None

    @property
    def has_storage(self) -> bool:
        """True if Mechanism A is configured."""
        if self.instance is not None:
            return self.storage is not None
        whole, event_log = ("storage", "custom"), ("event_log_storage",)
        found = (mapping(self.written, *path).get("class") for path in (whole, event_log))
        return any(each in _WRAPPERS for each in found)

    @property
    def sensors(self) -> list[SensorDefinition]:
        """The sensors of Mechanism B among the definitions."""
        sensors = self.repository.sensor_defs if self.repository is not None else ()
        return [each for each in sensors if getattr(each, SENSOR_SETTINGS, None) is not None]

    @property
    def sensor_states(self) -> list[InstigatorState]:
        """What the open instance keeps of sensors with the default name or one in definitions."""
        if self.instance is None:
            return []
        return sensor_states(self.instance, [sensor.name for sensor in self.sensors])

    @property
    def settings(self) -> Settings:
        """The mechanism's; the environment's (ConfigurationError if wrong) where none is known."""
        if self.storage is not None:
            return cast("Settings", self.storage.settings)
        if self.sensors:
            return cast("Settings", getattr(self.sensors[0], SENSOR_SETTINGS))
        # The check of the transport reports a wrong address.
        rest = {name: value for name, value in self.environ.items() if name != ENV_URL}
        return Settings.from_options({}, rest)


class Opening(contextlib.ExitStack):
    """Opens the instance and definitions into `subject`, and closes the instance at the end."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__()
        self.subject = Subject(environ)

    def load_definitions(self, code: CodeTarget) -> Iterator[Finding]:
        """Load the definitions that the user names, if any."""
        if not code.is_given:
            return
        try:
            repository = bounded(f"Loading {code.name}", lambda: load(code), LOADING_SECONDS)
        except SystemExit as error:
            step = "Remove what ends the process, such as sys.exit(), from the imported code."
            yield problem(f"{code.name} ends the process: exit {error.code}", step)
            return
        self.subject = replace(self.subject, repository=repository, code=code)
        yield fine(f"{code.name} is loaded")

    def open_instance(self, given: Path | None) -> Iterator[Finding]:
        """Open the instance in the given directory; None takes `DAGSTER_HOME`."""
        home = deployment.home_of(given, self.subject.environ)
        file = home / deployment.CONFIG_FILE
        try:
            written = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        except FileNotFoundError:
            yield note(f"{home} has no {file.name}: Dagster's defaults apply")
            written = {}
        except PermissionError:
            yield problem(f"{file} cannot be read: no permission", "Use Dagster's account.")
            return
        except (OSError, ValueError, yaml.YAMLError):
            yield problem(f"{file} cannot be read: it is not YAML", "Correct the file.")
            return
        if isinstance(written, dict):
            self.subject = replace(self.subject, written=written)
        try:
            opening = partial(self.enter_context, deployment.instance_at(home))
            instance = bounded(f"Opening the instance in {home}", opening, OPENING_SECONDS)
        except Exception:
            # The abandoned thread of `bounded` has set the variable and will not unset it.
            deployment.restore_disabled(self.subject.environ.get(ENV_DISABLED))
            raise
        self.subject = replace(self.subject, instance=instance)
        yield fine(f"{home} is open: {type(instance.event_log_storage).__name__}")
