"""Caches of what is made from values that do not change: by identity, and by value."""

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

_Object = TypeVar("_Object")
_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class PerObject(Generic[_Object, _Value]):
    """A function whose results are kept as long as its argument lives.

    The argument is known by its identity: facts cannot be hashed, and comparing them would cost
    more than making the value. What `make` returns must not refer to its argument.
    """

    def __init__(self, make: Callable[[_Object], _Value]) -> None:
        self._make = make
        self._values: dict[int, tuple[weakref.KeyedRef[int, _Object], _Value]] = {}

    def __call__(self, of: _Object) -> _Value:
        """Return the value of an object that does not change, made now or before."""
        found = self._values.get(id(of))
        if found is not None and found[0]() is of:
            return found[1]
        value = self._make(of)
        self._values[id(of)] = weakref.KeyedRef(of, self._forget, id(of)), value
        return value

    def _forget(self, dead: weakref.KeyedRef[int, _Object]) -> None:
        found = self._values.get(dead.key)
        # Another object may have got the identity of the dead one.
        if found is not None and found[0] is dead:
            del self._values[dead.key]


class PerValue(Generic[_Key, _Value]):
    """A function whose results are kept by the value of its first argument, those used last.

    The first argument must determine the others. They are kept with the result, so it may contain
    their `id`: no other object can get that id as long as the result is kept. `weigh` returns the
    weight of a first argument; `limit` bounds the sum of the weights.
    """

    def __init__(
        self, make: Callable[..., _Value], weigh: Callable[[_Key], int], limit: int
    ) -> None:
        self._make = make
        self._weigh = weigh
        self._limit = limit
        self._lock = threading.Lock()
        self._values: OrderedDict[_Key, tuple[_Value, tuple[Any, ...]]] = OrderedDict()
        self._weight = 0

    def __call__(self, of: _Key, *others: Any) -> _Value:
        """Return the result for the arguments, made now or before."""
        with self._lock:
            known = self._values.get(of)
            if known is not None:
                self._values.move_to_end(of)
                return known[0]
        value = self._make(of, *others)
        with self._lock:
            if of not in self._values:
                self._weight += self._weigh(of)
            self._values[of] = value, others
            while self._weight > self._limit and len(self._values) > 1:
                oldest, _ = self._values.popitem(last=False)
                self._weight -= self._weigh(oldest)
        return value

    def cache_clear(self) -> None:
        """Forget all results, as `functools.lru_cache` does."""
        with self._lock:
            self._values.clear()
            self._weight = 0
