"""Reads the option `wrapped`: the storage of Dagster's that does the work."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import yaml
from dagster._core.storage.event_log.base import EventLogStorage
from dagster._serdes import ConfigurableClassData

from openlineage_dagster_core.errors import ConfigurationError

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from dagster._core.storage.base_storage import DagsterStorage

_EVENT_LOG_STORAGE = (
    "{module, class, config} of an event log storage, such as module: dagster_postgres.event_log, "
    "class: PostgresEventLogStorage"
)
_STORAGE = (
    "{module, class, config} of a storage, such as module: dagster_postgres, "
    "class: DagsterPostgresStorage"
)


def wrapped_event_log_storage(wrapped: object) -> EventLogStorage:
    """Make the event log storage that is wrapped.

    Args:
        wrapped: the option's value.

    Returns:
        The storage.

    Raises:
        ConfigurationError: it is no event log storage, or one of ours.
    """
    made: EventLogStorage = _made(wrapped, EventLogStorage, _EVENT_LOG_STORAGE)
    return made


def wrapped_storage(wrapped: object) -> DagsterStorage[DagsterInstance]:
    """Make the storage of runs, events and schedules that is wrapped.

    Args:
        wrapped: the option's value.

    Returns:
        The storage.

    Raises:
        ConfigurationError: it is no such storage, or one of ours.
    """
    # Not needed by those who wrap the event log alone.
    from dagster._core.storage.base_storage import DagsterStorage

    made: DagsterStorage[DagsterInstance] = _made(wrapped, DagsterStorage, _STORAGE)
    return made


def _made(wrapped: object, kind: type, allowed: str) -> Any:
    if wrapped is None:
        raise ConfigurationError("wrapped", None, allowed)
    if not isinstance(wrapped, Mapping):
        # Not its value: it may be a connection string.
        raise ConfigurationError("wrapped", type(wrapped).__name__, allowed)
    unknown = sorted(set(wrapped) - {"module", "class", "config"})
    if unknown:
        raise ConfigurationError(f"wrapped.{unknown[0]}", "an unknown option", allowed)
    module_name, class_name = wrapped.get("module"), wrapped.get("class")
    found = _class(module_name, class_name, allowed)
    if not isinstance(found, type) or not issubclass(found, kind):
        raise ConfigurationError(
            "wrapped.class", f"{module_name}.{class_name}", f"a class of {kind.__name__}"
        )
    if hasattr(found, "openlineage_mechanism"):
        raise ConfigurationError(
            "wrapped.class", class_name, "the storage to wrap, not the wrapper again"
        )
    if inspect.isabstract(found):
        raise ConfigurationError("wrapped.class", class_name, "a storage that is not abstract")
    config = wrapped.get("config") or {}
    if not isinstance(config, Mapping):
        # Not its value: it may be a connection string.
        raise ConfigurationError("wrapped.config", type(config).__name__, "a mapping")
    data = ConfigurableClassData(
        module_name=str(module_name),
        class_name=str(class_name),
        config_yaml=yaml.safe_dump(dict(config)),
    )
    return data.rehydrate(as_type=kind)


def _class(module_name: object, class_name: object, allowed: str) -> Any:
    try:
        return getattr(importlib.import_module(str(module_name)), str(class_name))
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            "wrapped", f"{module_name}.{class_name} ({error})", allowed
        ) from error
