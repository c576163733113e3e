import gc
import importlib
import json
import pkgutil
import typing
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timezone
from decimal import Decimal
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin
from unittest.mock import Mock

import attr
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openlineage.client import generated
from openlineage.client.event_v2 import (
    DatasetEvent,
    InputDataset,
    Job,
    JobEvent,
    OutputDataset,
    Run,
    RunEvent,
    RunState,
    StaticDataset,
)
from openlineage.client.generated.base import BaseFacet, RunFacet
from openlineage.client.generated.documentation_dataset import DocumentationDatasetFacet
from openlineage.client.generated.schema_dataset import SchemaDatasetFacet, SchemaDatasetFacetFields
from openlineage.client.serde import Serde

from openlineage_dagster_core import serialisation
from openlineage_dagster_core.serialisation import SharedTexts, facet_text, shared, to_json

TIME = "2026-01-05T03:00:00+00:00"
RUN_ID = "0199a1b2-0000-7000-8000-000000000001"
FOR_VALIDATORS = (RUN_ID, TIME, "https://example.org/a")


class Colour(Enum):
    RED = "red"
    NOTHING = None
    PAIR = ("a", "b")


class Text(str, Enum):
    A = "a"


class int64:  # noqa: N801 -- numpy's name is what counts
    def __int__(self) -> int:
        return 64


@attr.define
class AnyFacet(RunFacet):
    value: Any
    _private: Any = None
    other: Any = None


@attr.define
class Single:
    value: Any = None


@attr.define
class Bare:
    pass


def facet_classes() -> list[type[BaseFacet]]:
    found = []
    for info in pkgutil.iter_modules(generated.__path__):
        module = importlib.import_module(f"{generated.__name__}.{info.name}")
        found += [
            value
            for value in vars(module).values()
            if isinstance(value, type)
            and issubclass(value, BaseFacet)
            and value.__module__ == module.__name__
        ]
    return found


texts = st.text(st.characters(exclude_categories=()), max_size=8)
floats = st.floats(allow_nan=False, allow_infinity=False)
wild = st.recursive(
    st.none()
    | texts
    | st.integers()
    | floats
    | st.booleans()
    | st.sampled_from([*Colour, *Text])
    | st.dates()
    | st.datetimes(timezones=st.none() | st.just(timezone.utc))
    | st.uuids()
    | st.builds(int64)
    | st.builds(Bare)
    | st.binary(max_size=3)
    | st.decimals(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.frozensets(st.integers() | texts | st.none(), max_size=3)
        | st.dictionaries(texts, inner, max_size=4)
        | st.builds(Single, inner)
        | st.builds(AnyFacet, inner, inner, inner)
        | inner.map(lambda value: AnyFacet(1).with_additional_properties(some_thing=value))
    ),
    max_leaves=12,
)


@cache
def values(annotation: Any, depth: int) -> st.SearchStrategy[Any]:
    origin, inner = get_origin(annotation), get_args(annotation)
    simple = {str: texts, int: st.integers(), float: floats, bool: st.booleans(), Any: wild}
    if annotation in simple:
        return simple[annotation]
    if origin is Literal:
        return st.sampled_from(inner)
    if origin in (Union, UnionType):
        present = [kind for kind in inner if kind is not NoneType]
        if len(present) < len(inner):
            some = [] if depth <= 0 else [values(kind, depth) for kind in present]
            return st.one_of(st.none(), *some)
        return st.one_of([values(kind, depth) for kind in (present if depth > 0 else present[:1])])
    if origin is list:
        return st.lists(values(inner[0], depth - 1), max_size=2 if depth > 0 else 0)
    if origin is dict:
        return st.dictionaries(texts, values(inner[1], depth - 1), max_size=2 if depth > 0 else 0)
    if issubclass(annotation, Enum):
        return st.sampled_from(annotation)
    return instances(annotation, depth - 1)


@cache
def instances(kind: type[Any], depth: int = 2) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(kind)
    fields = {field.alias: field for field in attr.fields(kind) if field.init}
    return st.builds(
        kind,
        **{
            alias: st.sampled_from([value for value in FOR_VALIDATORS if accepts(field, value)])
            if field.validator
            else values(hints[field.name], depth)
            for alias, field in fields.items()
        },
    )


def accepts(field: Any, value: str) -> bool:
    try:
        field.validator(Mock(), field, value)
    except ValueError:
        return False
    return True


def run_event(**facets: Any) -> RunEvent:
    return RunEvent(
        eventType=RunState.START,
        eventTime=TIME,
        run=Run(RUN_ID, facets),
        job=Job("dagster", "nightly"),
    )


def schema(name: str = "id") -> SchemaDatasetFacet:
    return SchemaDatasetFacet(fields=[SchemaDatasetFacetFields(name, "int")])


def assert_same(event: Any) -> None:
    assert json.loads(to_json(event)) == json.loads(Serde.to_json(event))


@pytest.mark.parametrize("kind", facet_classes(), ids=lambda kind: kind.__name__)
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_class_of_facets_is_written_as_the_client_writes_it(
    kind: type[BaseFacet], data: st.DataObject
) -> None:
    facet = data.draw(instances(kind))
    event = run_event(one=facet, two=shared(facet))
    assert_same(event)
    assert_same(event)
    assert json.loads(facet_text(facet)) == json.loads(Serde.to_json(facet))


@settings(suppress_health_check=list(HealthCheck))
@given(st.dictionaries(texts, wild, max_size=4))
def test_whatever_a_facet_holds_is_written_as_the_client_writes_it(facets: dict[str, Any]) -> None:
    assert_same(run_event(**{f"f{index}": facet for index, facet in enumerate(facets.values())}))
    event = run_event()
    event.run.facets = facets
    assert_same(event)


@settings(max_examples=50, suppress_health_check=list(HealthCheck))
@given(
    st.one_of(instances(RunEvent, 4), instances(JobEvent, 4), instances(DatasetEvent, 4)),
)
def test_every_kind_of_event_is_written_as_the_client_writes_it(event: Any) -> None:
    assert_same(event)


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        [],
        [None, {}, [], "", 0, False, [{}], [None], {"a": None}, {"a": {}}, Bare(), Single()],
        {"a": None, "b": {}, "c": [None, {}], "d": {"e": None}},
        {1: "int", 2: None},
        {True: "bool"},
        (1, None, ({},)),
        {"Ümsätze": '日本 \ud800 \x00 \u2028 😀 " \\'},
        Colour.RED,
        Colour.NOTHING,
        Colour.PAIR,
        [Colour.NOTHING, Colour.RED],
        {"text": Text.A, Text.A: 1},
        date(2026, 1, 5),
        datetime(2026, 1, 5, 3, tzinfo=timezone.utc),
        uuid.UUID(RUN_ID),
        int64(),
        Decimal("1.5"),
        b"bytes",
        object,
        1e300,
        -0.0,
        2**70,
        AnyFacet(1).with_additional_properties(extra={"a": None}, more=[{}]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_special_is_written_as_the_client_writes_it(value: Any) -> None:
    assert_same(run_event(any=AnyFacet(value, value, value)))
    assert_same(run_event(any={"value": value}))
    assert_same(run_event(any=value))


def test_what_is_missing_is_left_out_as_the_client_leaves_it_out() -> None:
    event = run_event()
    event.inputs, event.outputs = None, []
    event.job.facets = None
    assert_same(event)
    assert "inputs" not in json.loads(to_json(event))
    event.inputs = [None, InputDataset("n", "i", inputFacets=None), InputDataset(None, None)]
    event.inputs[2].facets = event.inputs[2].inputFacets = None
    event.outputs = [OutputDataset("n", "o", outputFacets={"a": None})]
    assert_same(event)
    assert len(json.loads(to_json(event))["inputs"]) == 1


def test_what_the_fields_hold_against_their_types_is_written_as_the_client_writes_it() -> None:
    event = run_event()
    event.run.facets = {1: schema(), 2: None}
    event.job.facets = [schema(), {}]
    event.inputs = ({"namespace": "n", "facets": None},)
    event.eventType = Colour.NOTHING
    assert_same(event)


def test_a_dataset_event_and_a_job_event_are_written() -> None:
    dataset = StaticDataset("n", "d", facets={"schema": shared(schema())})
    assert_same(DatasetEvent(eventTime=TIME, dataset=dataset))
    assert_same(JobEvent(eventTime=TIME, job=Job("n", "j"), inputs=[InputDataset("n", "i")]))


def test_the_text_is_ascii() -> None:
    assert to_json(run_event(any={"名": "\ud800"})).isascii()


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("mark", [shared, lambda facet: facet])
def test_a_number_that_json_does_not_have_is_refused(number: float, mark: Any) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        to_json(run_event(any=mark(AnyFacet({"a": [number]}))))


def test_a_key_that_json_does_not_have_is_refused() -> None:
    with pytest.raises(TypeError, match="keys must be"):
        to_json(run_event(any={("a", "b"): 1}))


def test_a_circle_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(RecursionError):
        to_json(run_event(any=AnyFacet(circle)))


def test_more_classes_than_are_remembered_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serialisation, "CLASSES", 3)
    for index in range(10):
        kind = attr.make_class(f"Made{index}", {"a": attr.field(), f"b{index}": attr.field()})
        assert_same(run_event(any=kind(1, schema())))
    assert len(serialisation._writers) <= 3


class Counted(date):
    """A date that counts how often it is written."""

    written = 0

    def isoformat(self) -> str:
        type(self).written += 1
        return super().isoformat()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    monkeypatch.setattr(Counted, "written", 0)
    return Counted(2026, 1, 5)


def test_a_shared_facet_is_the_same_object_and_written_once(counted: Counted) -> None:
    facet = AnyFacet(counted)
    assert shared(facet) is facet
    assert shared(facet) is facet
    assert Counted.written == 0
    written = {to_json(run_event(any=facet)) for _ in range(3)}
    assert len(written) == 1
    assert Counted.written == 1


def test_an_equal_facet_is_not_the_shared_one(counted: Counted) -> None:
    facet = shared(AnyFacet(counted))
    assert to_json(run_event(any=facet)) == to_json(run_event(any=AnyFacet(counted)))
    assert Counted.written == 2


def test_a_mapping_can_be_called_shared_too() -> None:
    facet = {"_producer": "a", "none": None}
    assert shared(facet) is facet
    assert_same(run_event(any=facet))


def test_what_was_written_longest_ago_is_let_go_and_written_again() -> None:
    facets = [schema(name) for name in "abc"]
    length = len(facet_text(facets[0]))
    shared_texts = SharedTexts(2 * length)
    for facet in facets:
        shared_texts.mark(facet)
    first, second, third = facets
    expected = [facet_text(facet) for facet in facets]
    shared_texts.text(first)
    kept = shared_texts.text(second)
    shared_texts.text(third)
    assert shared_texts.size == 2 * length
    assert shared_texts.text(second) is kept
    assert [shared_texts.text(facet) for facet in facets] == expected
    assert shared_texts.size == 2 * length


def test_a_text_larger_than_the_limit_is_not_kept() -> None:
    shared_texts, facet = SharedTexts(10), schema()
    shared_texts.mark(facet)
    assert shared_texts.text(facet) == facet_text(facet)
    assert shared_texts.size == 0


def test_what_nobody_holds_is_forgotten() -> None:
    shared_texts, facet = SharedTexts(), schema()
    shared_texts.mark(facet)
    shared_texts.text(facet)
    assert shared_texts.size > 0
    del facet
    gc.collect()
    other = schema()
    shared_texts.mark(other)
    assert shared_texts.size == 0
    assert len(shared_texts._marks) == 1


def test_a_new_object_at_an_old_address_is_not_mistaken() -> None:
    shared_texts = SharedTexts()
    for index in range(500):
        facet = DocumentationDatasetFacet(str(index))
        if index % 3:
            shared_texts.mark(facet)
        text = shared_texts.text(facet)
        assert (text is None) == (index % 3 == 0)
        assert text is None or json.loads(text)["description"] == str(index)


def test_many_threads_share_texts() -> None:
    facets = [schema(f"column {index}") for index in range(40)]
    expected = [facet_text(facet) for facet in facets]
    # Less than half fits, so that threads let go of what others use.
    shared_texts = SharedTexts(sum(map(len, expected)) // 3)

    def use(_: int) -> bool:
        for _ in range(20):
            for facet in facets:
                shared_texts.mark(facet)
            if [shared_texts.text(facet) for facet in facets] != expected:
                return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(use, range(8)))
    assert shared_texts.size == sum(len(mark.text or "") for mark in shared_texts._marks.values())
    assert 0 < shared_texts.size <= shared_texts.limit
