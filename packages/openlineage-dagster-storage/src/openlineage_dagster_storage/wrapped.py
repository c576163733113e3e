"""Reads the option `wrapped`: the storage of Dagster's that does the work."""

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

import yaml
from dagster._serdes import ConfigurableClassData

from openlineage_dagster_core.errors import ConfigurationError


def wrapped_storage(wrapped: object, kind: type, example: str) -> Any:
    """Return the storage that the option describes, or raise ConfigurationError."""
    allowed = f"{{module, class, config}} of {example}"
    if wrapped is None:
        raise ConfigurationError("wrapped", None, allowed)
    if not isinstance(wrapped, Mapping):
        # Not its value: it may be a connection string.
        raise ConfigurationError("wrapped", type(wrapped).__name__, allowed)
    unknown = sorted(set(wrapped) - {"module", "class", "config"})
    if unknown:
        raise ConfigurationError(f"wrapped.{unknown[0]}", "an unknown option", allowed)
    module_name, class_name = wrapped.get("module"), wrapped.get("class")
    name = f"{module_name}.{class_name}"
    try:
        found = getattr(importlib.import_module(str(module_name)), str(class_name))
    except (ImportError, AttributeError) as error:
        raise ConfigurationError("wrapped", f"{name} ({error})", allowed) from error
    if not isinstance(found, type) or not issubclass(found, kind):
        raise ConfigurationError("wrapped.class", name, f"a class of {kind.__name__}")
    if hasattr(found, "openlineage_mechanism"):
        allowed = "the storage to wrap, not the wrapper again"
        raise ConfigurationError("wrapped.class", class_name, allowed)
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
