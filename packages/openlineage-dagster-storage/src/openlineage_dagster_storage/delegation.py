"""An event log storage whose every member is another's, made from the installed Dagster's class."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from dagster._core.storage.event_log.base import EventLogStorage

_INNER = "_inner"


class DelegatingEventLogStorage(EventLogStorage):
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

    def __getattr__(self, name: str) -> Any:
        # Copying and unpickling ask for attributes before there is an inner storage.
        if name == _INNER:
            raise AttributeError(name)
        return getattr(self._inner, name)


def _forwarding_method(name: str) -> Callable[..., Any]:
    def forward(self: DelegatingEventLogStorage, *args: Any, **kwargs: Any) -> Any:
        self.before_forwarding()
        return getattr(self._inner, name)(*args, **kwargs)

    forward.__name__ = name
    forward.__qualname__ = f"{DelegatingEventLogStorage.__qualname__}.{name}"
    return forward


def _delegate_everything() -> None:
    for owner in EventLogStorage.__mro__:
        if owner is object:
            continue
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
