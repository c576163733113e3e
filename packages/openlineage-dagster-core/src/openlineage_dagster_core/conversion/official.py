"""Checks facets with official names against openlineage-python's classes of them."""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from enum import Enum
from functools import cache
from types import ModuleType, NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import attr
from openlineage.client import facet_v2

from openlineage_dagster_core.redaction import public_uri

_SUFFIX = re.compile(r"(?:(?:In|Out)putDataset|Dataset|Job|Run)Facet$")
_NAMES = {
    "DatasetVersion": "version", "Datasource": "dataSource", "InputSubset": "subset",
    "OutputSubset": "subset", "ProcessingEngine": "processing_engine", "SQL": "sql",
}  # fmt: skip
_CLOSED = "ExecutionParameter"  # The class whose schema allows no other fields
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|([+-]\d\d:\d\d))")
_hints = cache(get_type_hints)


@cache
def official_facets(base: str) -> Mapping[str, type[facet_v2.BaseFacet]]:
    """Return the classes of official facets by name; `base` is a class such as `DatasetFacet`."""
    found = {}
    for module in [each for each in vars(facet_v2).values() if isinstance(each, ModuleType)]:
        for kind in [each for each in vars(module).values() if isinstance(each, type)]:
            name = _SUFFIX.sub("", kind.__name__)
            if name and issubclass(kind, getattr(facet_v2, base)):
                found[_NAMES.get(name, name[0].lower() + name[1:])] = kind
    return found


def make_official(facet: dict[str, Any], kind: type[facet_v2.BaseFacet]) -> None:
    """Set the schema of an official facet, and take secrets out of its `uri` or `url`.

    Raises ValueError with the path of a value that does not fit the class, and not with the value.
    """
    _check(facet, kind, f"missing or wrong: {kind.__name__}")
    facet["_schemaURL"] = kind._get_schema()  # noqa: SLF001 -- else known of instances only


def _check(value: Any, hint: Any, path: str) -> None:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        *others, last = (each for each in inner if each is not NoneType)
        for each in others:
            with suppress(ValueError):
                return _check(value, each, path)
        _check(value, last, path)
    elif origin in (list, dict) and isinstance(value, origin):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if item is not None:  # openlineage-python leaves None out
                _check(item, inner[-1], f"{path}.{key}")
    elif attr.has(hint) and isinstance(value, dict):
        _check_fields(value, hint, path)
    elif not _fits(value, hint):
        raise ValueError(path)
    return None


def _check_fields(given: dict[str, Any], kind: type, path: str) -> None:
    if kind.__name__ == _CLOSED and not given.keys() <= _hints(kind).keys():
        raise ValueError(path)
    for field in (each for each in attr.fields(kind) if not each.name.startswith("_")):
        name, value, inner = field.name, given.get(field.name), f"{path}.{field.name}"
        constant = field.default if isinstance(field.default, str) else None
        if value is not None:
            _check(value, _hints(kind)[name], inner)
            given[name] = _formatted(name, value) if field.validator is not None else value
        is_required = constant or value is not None or field.default is attr.NOTHING
        if (is_required and given.get(name) is None) or constant not in (None, value):
            raise ValueError(inner)


def _fits(value: Any, hint: Any) -> bool:
    if hint in (int, float) and type(value) in (int, float):
        return hint is float or value == int(value)
    if get_origin(hint) is Literal or (isinstance(hint, type) and issubclass(hint, Enum)):
        return value in (get_args(hint) or [each.value for each in hint])
    return hint is Any or type(value) is hint


def _formatted(name: str, value: str) -> str | None:
    """Return a value in the format of the field's schema; None if it has another one."""
    with suppress(ValueError):
        if name in ("uri", "url"):
            return public_uri(value)
        if name == "runId":
            return str(UUID(value))
        if not name.endswith(("Date", "Time", "Updated")):
            return value
        if instant := _INSTANT.fullmatch(value):
            datetime.fromisoformat(instant[1] + (instant[2] or ""))
            return value
    return None
