"""Reads which storage to wrap, and forwards calls to it."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

import yaml
from dagster._core.storage.event_log.base import EventLogStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData

from openlineage_dagster_core.errors import ConfigurationError
from openlineage_dagster_core.options import storage_config_schema

_INNER = "_inner"


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
    config_yaml = yaml.safe_dump(dict(config))
    data = ConfigurableClassData(str(module_name), str(class_name), config_yaml)
    return data.rehydrate(as_type=kind)


class Wrapper(ConfigurableClass):
    """A storage of `dagster.yaml` with our options; it has the other members of the inner one."""

    openlineage_mechanism = "storage"
    """The sensor looks for it: of the two mechanisms, one may run. No wrapper is wrapped again."""

    _inner: Any
    _inst_data: ConfigurableClassData | None = None

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """Where in `dagster.yaml` this came from."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> Any:
        """Return the schema of `config:`."""
        return storage_config_schema()

    def __getattr__(self, name: str) -> Any:
        # Copying and unpickling ask for attributes before there is an inner storage.
        if name == _INNER:
            raise AttributeError(name)
        return getattr(self._inner, name)


class DelegatingEventLogStorage(Wrapper, EventLogStorage):
    """Forwards everything that `EventLogStorage` declares, abstract or not, to an inner storage.

    `isinstance` takes it for the inner storage's class as well as for its own: Dagster decides by
    it what to migrate, and silently passes over what it does not know.

    The list of members is read from the class at import, so members that later versions of Dagster
    add are forwarded too, whatever their signatures. Members that only the inner class has are
    reached as well. Only the inner storage is registered with the instance.
    """

    def __init__(self, inner: EventLogStorage) -> None:
        # Not super().__init__(): the weak reference to the instance belongs to the inner storage.
        self._inner = inner

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """The inner storage's class, for `isinstance`; `type()` tells this one."""
        inner = self.__dict__.get(_INNER)
        return type(self) if inner is None else inner.__class__

    def before_forwarding(self) -> None:
        """Do what a subclass wants done before any call of the inner storage; must not raise."""


def _forwarding_method(name: str) -> Callable[..., Any]:
    def forward(self: DelegatingEventLogStorage, *args: Any, **kwargs: Any) -> Any:
        self.before_forwarding()
        return getattr(self._inner, name)(*args, **kwargs)

    forward.__name__ = name
    forward.__qualname__ = f"{DelegatingEventLogStorage.__qualname__}.{name}"
    return forward


def _delegate_everything() -> None:
    for owner in EventLogStorage.__mro__[:-1]:  # Without object
        for name, member in vars(owner).items():
            is_own = name in vars(DelegatingEventLogStorage)
            if is_own or name == "_abc_impl" or (name.startswith("__") and name.endswith("__")):
                continue
            if isinstance(member, (staticmethod, classmethod)):
                continue
            if callable(member):
                setattr(DelegatingEventLogStorage, name, _forwarding_method(name))
            else:
                setattr(DelegatingEventLogStorage, name, property(attrgetter(f"_inner.{name}")))
    # ABCMeta computed it from the members declared above, before they were forwarded.
    DelegatingEventLogStorage.__abstractmethods__ = frozenset()


_delegate_everything()
