import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openlineage_dagster_core.facets.nested_types import DEEPEST, Fields, nested_fields

A_INT = {"a": ("int", {})}


def tree(fields: Fields | None) -> dict[str, Any]:
    return {field.name: (field.type, tree(field.fields)) for field in fields or ()}


def depth(fields: Fields | None) -> int:
    return 1 + max(depth(field.fields) for field in fields) if fields else 0


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("struct<a:int>", A_INT),
        (" STRUCT < a : int > ", A_INT),
        ("struct<a:int> NOT NULL", A_INT),
        ("struct<a:int,b:decimal(10,2)>", {**A_INT, "b": ("decimal(10,2)", {})}),
        ("struct<a b:int>", {"a b": ("int", {})}),
        ("struct<`a:b`:int>", {"a:b": ("int", {})}),
        ("STRUCT<a INT64, b STRING>", {"a": ("INT64", {}), "b": ("STRING", {})}),
        ("ROW(a int, b varchar(3))", {**A_INT, "b": ("varchar(3)", {})}),
        ('ROW("a ""b""" int)', {'a "b"': ("int", {})}),
        ("ROW(t timestamp(3) with time zone)", {"t": ("timestamp(3) with time zone", {})}),
        ("struct(a int, e enum('x,)', 'y'))", {**A_INT, "e": ("enum('x,)', 'y')", {})}),
        ("struct(a int)[]", {"_element": ("struct(a int)", A_INT)}),
        ("array<struct<a:int>>", {"_element": ("struct<a:int>", A_INT)}),
        ("list<item: struct<a: int>>", {"_element": ("struct<a: int>", A_INT)}),
        (
            "array<array<struct<a:int>>>",
            {"_element": ("array<struct<a:int>>", {"_element": ("struct<a:int>", A_INT)})},
        ),
        (
            "map<string,struct<a:int>>",
            {"_key": ("string", {}), "_value": ("struct<a:int>", A_INT)},
        ),
        (
            "struct<b:array<struct<a:int>>>",
            {"b": ("array<struct<a:int>>", {"_element": ("struct<a:int>", A_INT)})},
        ),
    ],
)
def test_the_fields_of_structs_are_read(text: str, fields: dict[str, Any]) -> None:
    assert tree(nested_fields(text)) == fields


@pytest.mark.parametrize(
    "text",
    [
        "", "int", "int[]", "decimal(10,2)", "array<int>", "map<string,int>", "struct<>", "struct",
        "struct<INT64>", "ROW(integer, varchar)", "struct<a:int", "struct<a:int)", "struct<a:>",
        "struct<a:int>>", "struct<a:int> x", "structure<a:int>", "struct<`a:int>", "[]", "map<int>",
        "array<struct<a:int>,int>", "struct<a:int,>",
    ],
)  # fmt: skip
def test_what_is_not_understood_has_no_fields(text: str) -> None:
    assert nested_fields(text) == []


def test_what_is_too_deep_has_no_fields() -> None:
    text = "struct<a:" * 100 + "int" + ">" * 100
    assert depth(nested_fields(text)) == DEEPEST
    assert depth(nested_fields("struct(a int)" + "[]" * 100)) == 0


pieces = st.sampled_from(
    [
        "struct",
        "ROW",
        "array",
        "map",
        "<",
        ">",
        "(",
        ")",
        "[",
        "]",
        ",",
        ":",
        " ",
        "a",
        "int",
        '"',
        "`",
    ]
)


@given(st.text() | st.lists(pieces).map("".join))
def test_no_text_breaks_it(text: str) -> None:
    assert depth(nested_fields(text)) <= DEEPEST


@pytest.mark.parametrize(
    "piece", ["struct<a:", "array<", "[", "a ", "struct<a:int>,", '"', "`", "<"]
)
def test_a_long_type_takes_no_time_to_speak_of(piece: str) -> None:
    start = time.process_time()
    text = piece * (60000 // len(piece))
    nested_fields(text)
    nested_fields(f"struct<a:{text}>")
    nested_fields(text * 100)
    assert time.process_time() - start < 10
