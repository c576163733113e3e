"""Writes events as JSON, as openlineage-python does, without writing again what has not changed."""

import json
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import date
from enum import Enum
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _string
from operator import attrgetter
from typing import Any, TypeVar
from uuid import UUID

import attr
from openlineage.client import event_v2

F = TypeVar("F")
Writer = Callable[[Any], str]  # Makes JSON of a value
Event = event_v2.RunEvent | event_v2.DatasetEvent | event_v2.JobEvent  # What can be written
KEPT_BYTES = 16 * 1024 * 1024  # Bytes of texts of shared facets: some thousand wide schemas
CLASSES = 1024  # Classes remembered; `with_additional_properties` makes classes at run time
_PARTS = (event_v2.BaseEvent, event_v2.Run, event_v2.Job, event_v2.Dataset)
FACETS = ("facets", "inputFacets", "outputFacets")  # The fields that hold facets
_NULL = "null"
_NOTHING = (_NULL, "{}")


# ASCII only, as openlineage-python writes: half a surrogate pair cannot be encoded otherwise.
# Circles need no check: they end in RecursionError in any case.
_encode = json.JSONEncoder(
    allow_nan=False,
    separators=(",", ":"),
    check_circular=False,
    default=lambda value: f"<<non-serializable: {type(value).__qualname__}>>",
).encode


def to_json(event: Event) -> str:
    """Return an event as JSON: `json.loads` finds in it what it finds in `Serde.to_json(event)`.

    It is ASCII, so its length is its size in bytes. The order of keys is that of the fields. Raises
    ValueError for a number that JSON does not have, such as NaN, and TypeError for such a key.
    """
    return _text(event)


def to_object(event: Event) -> dict[str, Any]:
    """Return the JSON object that a backend reads; raises as `to_json` does."""
    found: dict[str, Any] = json.loads(to_json(event))
    return found


def facet_holders(event: Event) -> Iterator[tuple[str, int | None, Any]]:
    """List the parts of an event that hold facets, with their field and their place in a list."""
    for name in ("dataset", "run", "job"):
        part = getattr(event, name, None)
        if part is not None:
            yield name, None, part
    for name in ("inputs", "outputs"):
        for index, part in enumerate(getattr(event, name, None) or ()):
            yield name, index, part


def facet_text(facet: object) -> str:
    """Return the JSON of one facet, kept where it is shared; raises as `to_json` does."""
    text = _shared_texts.text(facet)
    return _text(facet) if text is None else text


def shared(facet: F) -> F:
    """Mark a facet that never changes and return it: many events use it, it is written once.

    It is known by its identity, only as long as someone holds it: keep the facet, not only what it
    was made from. A mapping cannot be referred to weakly, and is written every time.
    """
    _shared_texts.mark(facet)
    return facet


@dataclass(slots=True, eq=False)
class _Mark:
    """Marks a facet as shared, with its text while that is kept."""

    reference: weakref.KeyedRef[int, Any]
    text: str | None = None


class SharedTexts:
    """The latest texts of shared facets, up to `limit` bytes; safe to use from many threads."""

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self.limit = limit
        self.lock = threading.Lock()
        self._marks: dict[int, _Mark] = {}
        self._kept: dict[int, _Mark] = {}
        self.size = 0  # Bytes of the texts that are kept
        # Facets die whenever garbage is collected, which may be while this thread has the lock.
        self._dead: deque[weakref.KeyedRef[int, Any]] = deque()

    def mark(self, facet: object) -> None:
        """Keep the text of a facet that never changes, from its first use on."""
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
        """Return the JSON of a facet; None where it is not shared."""
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
            self.size += len(text)
            while self.size > self.limit:
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
            self.size -= len(mark.text)
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
    """Return the writer for the objects of one class of attrs."""
    names = tuple(field.name for field in attr.fields(kind))
    # attrgetter gives a tuple only for more than one name.
    values_of = (
        attrgetter(*names) if len(names) > 1 else lambda value: [getattr(value, n) for n in names]
    )
    holds_facets = issubclass(kind, _PARTS)
    fields = tuple(
        (f"{_string(name)}:", _facets if holds_facets and name in FACETS else None)
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


def _facets(facets: Any) -> str:
    """Write a mapping of facets."""
    if type(facets) is not dict:
        return _text(facets)
    pairs = []
    for name, facet in facets.items():
        if facet is not None and (text := facet_text(facet)) != _NULL:
            pairs.append(_name(name) + text)
    return "{" + ",".join(pairs) + "}"


@lru_cache(CLASSES, typed=True)
def _name(name: Any) -> str:
    return f"{_key(name)}:"


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
    """The writers of each class; a dict, because every value asks."""

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
    is_int = kind is int or kind.__name__ == "int64"
    return (lambda value: str(int(value))) if is_int else _encode


_WRITERS: tuple[tuple[tuple[type, ...], Writer], ...] = (
    ((list, tuple, set, frozenset), _list),
    ((dict,), _dict),
    ((Enum,), lambda value: _encode(value.value)),
    ((date,), lambda value: _string(value.isoformat())),
    ((UUID,), lambda value: _string(str(value))),
)
"""In the order in which `attr.asdict` and `Serde` look, after classes of attrs."""

_writers = _Writers()
