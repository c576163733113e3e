import json
from typing import Any

from dagster import TableColumn, TableSchema
from hypothesis import given
from hypothesis import strategies as st
from openlineage.client.serde import Serde

from openlineage_dagster_core.facets.schema import schema_facet
from openlineage_spec import facet_faults


def fields(*columns: TableColumn) -> list[dict[str, Any]]:
    facet = json.loads(Serde.to_json(schema_facet(TableSchema(list(columns)))))
    assert facet_faults("schema", facet) == []
    return facet["fields"]


def test_columns_stay_in_their_order() -> None:
    assert fields(TableColumn("b", "int", "The B"), TableColumn("a", "text")) == [
        {"name": "b", "type": "int", "description": "The B"},
        {"name": "a", "type": "text"},
    ]


def test_a_struct_keeps_its_type_and_has_fields() -> None:
    text = "struct<a:int,b:array<struct<c:string>>>"
    inner = {
        "name": "_element",
        "type": "struct<c:string>",
        "fields": [{"name": "c", "type": "string"}],
    }
    assert fields(TableColumn("s", text)) == [
        {
            "name": "s",
            "type": text,
            "fields": [
                {"name": "a", "type": "int"},
                {"name": "b", "type": "array<struct<c:string>>", "fields": [inner]},
            ],
        }
    ]


def test_of_columns_and_fields_with_the_same_name_the_first_stays() -> None:
    assert fields(TableColumn("a", "int"), TableColumn("a", "text")) == [
        {"name": "a", "type": "int"}
    ]
    [struct] = fields(TableColumn("s", "struct<a:int,a:text>"))
    assert struct["fields"] == [{"name": "a", "type": "int"}]


def test_names_and_texts_are_made_fit() -> None:
    [column] = fields(TableColumn("a\nb", "x" * 10**5, "\x00"))
    assert column["name"].startswith("a_b-")
    assert len(column["type"].encode()) == 65536
    assert column["description"] == "\ufffd"


@given(st.lists(st.builds(TableColumn, st.text(), st.text(), st.none() | st.text())))
def test_no_column_breaks_it(columns: list[TableColumn]) -> None:
    fields(*columns)
