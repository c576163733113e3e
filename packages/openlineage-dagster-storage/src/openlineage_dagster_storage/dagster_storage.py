"""The storage of `storage: {custom: …}` in `dagster.yaml`: runs and schedules as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster import DagsterInstance
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.event_log.base import EventLogStorage
from dagster._core.storage.runs.base import RunStorage
from dagster._core.storage.schedules.base import ScheduleStorage
from dagster._serdes import ConfigurableClassData

from openlineage_dagster_core.options import StorageOptions, declared
from openlineage_dagster_core.validation import reject_unknown
from openlineage_dagster_storage.delegation import Wrapper, wrapped_storage
from openlineage_dagster_storage.storage import OpenLineageEventLogStorage


class OpenLineageDagsterStorage(Wrapper, DagsterStorage):
    """Wraps the event log of a whole storage, and leaves its runs and schedules as they are.

    Dagster keeps runs and schedules in SQLite where only `event_log_storage` is configured; with
    this they stay in the database of the event log.
    """

    def __init__(
        self,
        inner: DagsterStorage[DagsterInstance],
        event_log_storage: OpenLineageEventLogStorage,
        *,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        self._inner: DagsterStorage[DagsterInstance] = inner
        self._event_log_storage = event_log_storage
        self._inst_data = inst_data
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> OpenLineageDagsterStorage:
        """Return the storage that `dagster.yaml` describes, or raise ConfigurationError."""
        reject_unknown(config_value.keys(), declared(StorageOptions))
        example = "a storage, such as module: dagster_postgres, class: DagsterPostgresStorage"
        inner = wrapped_storage(config_value.get("wrapped"), DagsterStorage, example)
        own = OpenLineageEventLogStorage.around(inner.event_log_storage, config_value, inst_data)
        return cls(inner, own, inst_data=inst_data)

    @property
    def event_log_storage(self) -> EventLogStorage[DagsterInstance]:
        """The wrapped storage's, wrapped."""
        return self._event_log_storage

    @property
    def run_storage(self) -> RunStorage[DagsterInstance]:
        """The wrapped storage's."""
        return self._inner.run_storage

    @property
    def schedule_storage(self) -> ScheduleStorage[DagsterInstance]:
        """The wrapped storage's."""
        return self._inner.schedule_storage

    def register_instance(self, instance: DagsterInstance) -> None:
        """Tell both storages which instance they belong to."""
        super().register_instance(instance)
        if not self._inner.has_instance:
            self._inner.register_instance(instance)
        self._event_log_storage.register_instance(instance)
