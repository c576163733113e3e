"""What is examined: environment, `dagster.yaml`, instance and definitions, as far as known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openlineage_dagster_core.cli.code import CodeTarget
from openlineage_dagster_core.settings import ENV_URL, SENSOR_SETTINGS, Settings

if TYPE_CHECKING:
    from dagster import DagsterInstance, RepositoryDefinition, SensorDefinition

_WRAPPERS = frozenset({"OpenLineageDagsterStorage", "OpenLineageEventLogStorage"})


@dataclass(frozen=True)
class Subject:
    """A deployment, of which anything may be missing or broken.

    Args:
        environ: the environment that the command was given.
        home: the instance's directory; None where none is known.
        written: what `dagster.yaml` says, as it stands there; None where it is not known.
        instance: opened; None where it cannot be.
        repository: the definitions; None where none were named or they cannot be loaded.
        code: where definitions are.
    """

    environ: Mapping[str, str]
    home: Path | None = None
    written: Mapping[str, Any] | None = None
    instance: DagsterInstance | None = None
    repository: RepositoryDefinition | None = None
    code: CodeTarget = field(default_factory=CodeTarget)

    @property
    def storage(self) -> Any:
        """The event log storage where it is ours; it counts only in an instance that is open."""
        if self.instance is None:
            return None
        found: Any = self.instance.event_log_storage
        return found if getattr(found, "openlineage_mechanism", None) is not None else None

    @property
    def has_storage(self) -> bool:
        """Whether Mechanism A is configured."""
        if self.instance is not None:
            return self.storage is not None
        return any(part.get("class") in _WRAPPERS for part in self._storages())

    def _storages(self) -> list[Mapping[str, Any]]:
        written = self.written or {}
        storage = written.get("storage")
        custom = storage.get("custom") if isinstance(storage, Mapping) else None
        found = (custom, written.get("event_log_storage"))
        return [each for each in found if isinstance(each, Mapping)]

    @property
    def sensors(self) -> list[SensorDefinition]:
        """The sensors of Mechanism B among the definitions."""
        sensors = self.repository.sensor_defs if self.repository is not None else ()
        return [each for each in sensors if getattr(each, SENSOR_SETTINGS, None) is not None]

    @property
    def settings(self) -> Settings:
        """Those of the mechanism; of the environment alone where none is known.

        Raises:
            ConfigurationError: the environment's are wrong.
        """
        if self.storage is not None:
            of_storage: Settings = self.storage.settings
            return of_storage
        if self.sensors:
            of_sensor: Settings = getattr(self.sensors[0], SENSOR_SETTINGS)
            return of_sensor
        # A wrong address is the transport's to report.
        rest = {name: value for name, value in self.environ.items() if name != ENV_URL}
        return Settings.from_options({}, rest)
