"""Writes events as JSON, as openlineage-python does, without writing again what has not changed."""

from __future__ import annotations

import json
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Collection
from datetime import date
from enum import Enum
from json.encoder import encode_basestring_ascii as _string
from operator import attrgetter
from typing import Any, TypeVar
from uuid import UUID

import attr
from openlineage.client.event_v2 import (
    BaseEvent,
    Dataset,
    DatasetEvent,
    Job,
    JobEvent,
    Run,
    RunEvent,
)

F = TypeVar("F")

Writer = Callable[[Any], str]
"""Makes JSON of a value."""

Event = RunEvent | DatasetEvent | JobEvent
"""What can be written."""

KEPT_BYTES = 16 * 1024 * 1024
"""How much text of shared facets is kept: some thousand definitions with wide schemas."""

CLASSES = 1024
"""How many classes are remembered; `with_additional_properties` makes classes at run time."""

_PARTS = (BaseEvent, Run, Job, Dataset)
_FACETS = frozenset({"facets", "inputFacets", "outputFacets"})
_NULL = "null"
_NOTHING = (_NULL, "{}")


def _not_serialisable(value: object) -> str:
    return f"<<non-serializable: {type(value).__qualname__}>>"


# ASCII only, as openlineage-python writes: half a surrogate pair cannot be encoded otherwise.
# Circles need no check: they end in RecursionError in any case.
_encode = json.JSONEncoder(
    allow_nan=False, separators=(",", ":"), check_circular=False, default=_not_serialisable
).encode


def to_json(event: Event) -> str:
    """Write an event; `json.loads` finds in it what it finds in `Serde.to_json(event)`.

    Args:
        event: an OpenLineage event.

    Returns:
        The JSON, in ASCII: its length is the number of its bytes. The order of keys is that of the
        fields.

    Raises:
        ValueError: there is a number in it that JSON does not have, such as NaN.
        TypeError: there is a mapping in it whose keys JSON does not have.
    """
    return _text(event)


def to_object(event: Event) -> dict[str, Any]:
    """Make of an event what a backend reads.

    Args:
        event: an OpenLineage event.

    Returns:
        JSON's object.

    Raises:
        ValueError: see `to_json`.
        TypeError: likewise.
    """
    found: dict[str, Any] = json.loads(to_json(event))
    return found


def facet_text(facet: object) -> str:
    """Write one facet as it stands in an event.

    Args:
        facet: of a class of facets, or a mapping.

    Returns:
        The JSON, kept from before where the facet is shared.

    Raises:
        ValueError: there is a number in it that JSON does not have, such as NaN.
        TypeError: there is a mapping in it whose keys JSON does not have.
    """
    text = _shared_texts.text(facet)
    return _text(facet) if text is None else text


def shared(facet: F) -> F:
    """Say that a facet is used in many events and never changes: it is written once.

    It is known by its identity and only as long as someone holds it: keep the facet, not only what
    it was made from. What cannot be referred to weakly, such as a mapping, is written every time.

    Args:
        facet: to be put into events.

    Returns:
        The same object.
    """
    _shared_texts.mark(facet)
    return facet


class _Mark:
    """That a facet is shared, and its text while that is kept."""

    __slots__ = ("reference", "text")

    def __init__(self, reference: weakref.KeyedRef[int, Any]) -> None:
        self.reference = reference
        self.text: str | None = None


class SharedTexts:
    """The texts of shared facets, those written last; safe to use from many threads.

    Args:
        limit: of all kept texts, in bytes.
    """

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self.limit = limit
        self.lock = threading.Lock()
        self._marks: dict[int, _Mark] = {}
        self._kept: dict[int, _Mark] = {}
        self._size = 0
        # Facets die whenever garbage is collected, which may be while this thread has the lock.
        self._dead: deque[weakref.KeyedRef[int, Any]] = deque()

    @property
    def size(self) -> int:
        """How much is kept, in bytes."""
        return self._size

    def mark(self, facet: object) -> None:
        """Keep the text of a facet from its first use on.

        Args:
            facet: one that never changes.
        """
        key = id(facet)
        try:
            reference = weakref.KeyedRef(facet, self._dead.append, key)
        except TypeError:
            return
        with self.lock:
            self._forget_dead()
            mark = self._marks.get(key)
            if mark is None or mark.reference() is not facet:
                self._forget(key)
                self._marks[key] = _Mark(reference)

    def text(self, facet: object) -> str | None:
        """Give the text of a facet.

        Args:
            facet: any.

        Returns:
            Its JSON, None where it is not shared.
        """
        mark = self._marks.get(id(facet))
        if mark is None or mark.reference() is not facet:
            return None
        text = mark.text
        if text is None:
            text = _text(facet)
            self._keep(id(facet), mark, text)
        return text

    def _keep(self, key: int, mark: _Mark, text: str) -> None:
        with self.lock:
            self._forget_dead()
            is_kept_by_another = mark.text is not None
            if is_kept_by_another or self._marks.get(key) is not mark or len(text) > self.limit:
                return
            mark.text = text
            self._kept[key] = mark
            self._size += len(text)
            while self._size > self.limit:
                self._let_go(next(iter(self._kept)))

    def _forget_dead(self) -> None:
        while self._dead:
            reference = self._dead.popleft()
            mark = self._marks.get(reference.key)
            # A new object may live at the same address.
            if mark is not None and mark.reference is reference:
                self._forget(reference.key)

    def _forget(self, key: int) -> None:
        self._let_go(key)
        self._marks.pop(key, None)

    def _let_go(self, key: int) -> None:
        mark = self._kept.pop(key, None)
        if mark is not None and mark.text is not None:
            self._size -= len(mark.text)
            mark.text = None


_shared_texts = SharedTexts()

if hasattr(os, "register_at_fork"):
    # A lock that another thread holds would stay locked in the child.
    os.register_at_fork(
        before=_shared_texts.lock.acquire,
        after_in_parent=_shared_texts.lock.release,
        after_in_child=_shared_texts.lock.release,
    )


def _attrs_writer(kind: type[Any]) -> Writer:
    """Make what writes the objects of one class of attrs."""
    names = tuple(field.name for field in attr.fields(kind))
    values_of = attrgetter(*names) if len(names) > 1 else _tuple_getter(names)
    holds_facets = issubclass(kind, _PARTS)
    fields = tuple(
        (f"{_string(name)}:", _facets if holds_facets and name in _FACETS else None)
        for name in names
    )

    def write(value: Any) -> str:
        pairs = []
        for (key, special), inner in zip(fields, values_of(value), strict=True):
            if inner is None:
                continue
            kind = type(inner)
            if kind is str:
                pairs.append(key + _string(inner))
                continue
            text = (special or _writers[kind])(inner)
            if text != _NULL:
                pairs.append(key + text)
        return "{" + ",".join(pairs) + "}"

    return write


def _tuple_getter(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """Do what `attrgetter` does only for more than one name."""
    return lambda value: tuple(getattr(value, name) for name in names)


def _facets(facets: Any) -> str:
    """Write the mapping in which facets are."""
    if type(facets) is not dict:
        return _text(facets)
    pairs = []
    for name, facet in facets.items():
        if facet is not None and (text := facet_text(facet)) != _NULL:
            key = _names.get(name)
            pairs.append((_name(name) if key is None else key) + text)
    return "{" + ",".join(pairs) + "}"


_names: dict[Any, str] = {}
"""How the names of facets are written; there are few."""


def _name(name: Any) -> str:
    text = f"{_key(name)}:"
    if type(name) is str and len(_names) < CLASSES:
        _names[name] = text
    return text


def _text(value: Any) -> str:
    return _writers[type(value)](value)


def _dict(values: dict[Any, Any]) -> str:
    pairs = []
    for key, value in values.items():
        if value is not None and (text := _text(value)) != _NULL:
            pairs.append(f"{_key(key)}:{text}")
    return "{" + ",".join(pairs) + "}"


def _key(key: Any) -> str:
    # Which other keys JSON has, and how they are written, is the encoder's affair.
    return _string(key) if isinstance(key, str) else _encode({key: 0})[len("{") : -len(":0}")]


def _list(values: Collection[Any]) -> str:
    if not values:
        return "[]"
    texts = [_writers[type(value)](value) for value in values if value is not None]
    return "[" + ",".join([text for text in texts if text not in _NOTHING]) + "]"


class _Writers(dict[type[Any], Writer]):
    """What writes the values of a class; a dict, because each value asks."""

    def __missing__(self, kind: type[Any]) -> Writer:
        if len(self) >= CLASSES:
            self.clear()
        self[kind] = writer = _writer(kind)
        return writer


def _writer(kind: type[Any]) -> Writer:
    if attr.has(kind):
        return _attrs_writer(kind)
    for classes, writer in _WRITERS:
        if issubclass(kind, classes):
            return writer
    # As in openlineage-python: numpy's, without importing it.
    return _int if kind is int or kind.__name__ == "int64" else _encode


def _int(value: Any) -> str:
    return str(int(value))


_WRITERS: tuple[tuple[tuple[type, ...], Writer], ...] = (
    ((list, tuple, set, frozenset), _list),
    ((dict,), _dict),
    ((Enum,), lambda value: _encode(value.value)),
    ((date,), lambda value: _string(value.isoformat())),
    ((UUID,), lambda value: _string(str(value))),
)
"""In the order in which `attr.asdict` and `Serde` look, after classes of attrs."""

_writers = _Writers()
