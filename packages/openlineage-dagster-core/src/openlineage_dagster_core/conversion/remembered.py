"""Values that are made once for an object that does not change, and kept while it is in use."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

_Object = TypeVar("_Object")
_Value = TypeVar("_Value")

KEPT = 4096
"""Of definitions: each may have a schema of hundreds of columns."""

RUNS_KEPT = 256
"""Of runs: those under way, and some more."""


class PerObject(Generic[_Object, _Value]):
    """A function whose results are kept by the identity of its argument.

    By identity, for what the facts hold cannot be hashed, and comparing it would cost more than
    making the value.

    Args:
        make: makes the value.
        kept: how many are kept; those made longest ago are forgotten first.
    """

    def __init__(self, make: Callable[[_Object], _Value], kept: int = KEPT) -> None:
        self._make = make
        self._kept = kept
        self._values: OrderedDict[int, tuple[_Object, _Value]] = OrderedDict()

    def __call__(self, of: _Object) -> _Value:
        """Give the value of an object.

        Args:
            of: an object that does not change.

        Returns:
            Its value, made now or before.
        """
        found = self._values.get(id(of))
        # The object is kept with its value, so that no other can have its identity meanwhile.
        if found is not None and found[0] is of:
            return found[1]
        value = self._make(of)
        self._values[id(of)] = (of, value)
        while len(self._values) > self._kept:
            self._values.popitem(last=False)
        return value
