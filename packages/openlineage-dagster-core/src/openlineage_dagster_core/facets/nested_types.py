"""Reads the fields of structs out of the texts of column types."""

import re
from collections.abc import Iterable

from openlineage.client.generated.schema_dataset import SchemaDatasetFacetFields

from openlineage_dagster_core.names import limited, safe_name

DEEPEST = 16  # Nested types; a deeper one has no fields
LONGEST = 65536  # Characters; a longer type has no fields
ELEMENT = "_element"
KEY = "_key"
VALUE = "_value"
_STRUCTS = frozenset({"struct", "row"})
_MAP = "map"
_CLOSING = {"<": ">", "(": ")", "[": "]", "{": "}"}
_HEAD = re.compile(r"(struct|row|array|list|map)\s*([<(])", re.IGNORECASE)
_ARRAY_SUFFIX = re.compile(r"\[\d*\]$")
# What may follow a type and says nothing of its fields
_ATTRIBUTES = re.compile(r"\s+(?:NOT\s+NULL|NULL|COMMENT\s|OPTIONS\s*\()", re.IGNORECASE)
_QUOTED_NAME = re.compile(
    r"(?:`((?:[^`]|``)+)`|\"((?:[^\"]|\"\")+)\")(?:\s*:\s*|\s+)(\S.*)", re.DOTALL
)
_PLAIN_NAME = re.compile(r"([^\s:<>()\[\]{}\"'`]+)\s+([^\s:].*)", re.DOTALL)
_ARROW_ELEMENT = re.compile(r"^(?:item|element)\s*:\s*")  # Arrow names the element

Fields = list[SchemaDatasetFacetFields]


def nested_fields(type_text: str) -> Fields:
    """Return the fields of a column's type.

    It knows `struct<a:int>` (Spark, Hive, Delta), `STRUCT<a INT64>` (BigQuery), `ROW(a integer)`
    (Trino) and `struct(a int)[]` (DuckDB). Around structs, an array has `_element`, and a map has
    `_key` and `_value`. Any other text has no fields.
    """
    return _fields(type_text.strip(), 0) if len(type_text) <= LONGEST else []


def first_of_each_name(fields: Iterable[SchemaDatasetFacetFields]) -> Fields:
    """Return the fields without those whose name an earlier one has."""
    by_name: dict[str, SchemaDatasetFacetFields] = {}
    for field in fields:
        by_name.setdefault(field.name, field)
    return list(by_name.values())


def _fields(text: str, depth: int) -> Fields:
    if depth >= DEEPEST:
        return []
    if suffix := _ARRAY_SUFFIX.search(text):
        return _element(text[: suffix.start()].rstrip(), depth)
    head = _HEAD.match(text)
    read = _parts(text, head.end() - 1) if head else None
    if head is None or read is None:
        return []
    parts, end = read
    if end < len(text) and not _ATTRIBUTES.match(text, end):
        return []
    word = head[1].lower()
    if word in _STRUCTS:
        return _struct(parts, depth, colon=head[2] == "<")
    return _entry(parts, depth) if word == _MAP else _array(parts, depth)


def _field(name: str, text: str, fields: Fields) -> SchemaDatasetFacetFields:
    return SchemaDatasetFacetFields(name=safe_name(name), type=limited(text), fields=fields or None)


def _array(parts: list[str], depth: int) -> Fields:
    return _element(_ARROW_ELEMENT.sub("", parts[0]), depth) if len(parts) == 1 else []


def _entry(parts: list[str], depth: int) -> Fields:
    if len(parts) != 2:
        return []
    key, value = (_fields(part, depth + 1) for part in parts)
    return [_field(KEY, parts[0], key), _field(VALUE, parts[1], value)] if value else []


def _element(text: str, depth: int) -> Fields:
    fields = _fields(text, depth + 1)
    return [_field(ELEMENT, text, fields)] if fields else []


def _struct(parts: list[str], depth: int, *, colon: bool) -> Fields:
    found = []
    for part in parts:
        field = _name_and_type(part, colon=colon)
        if field is None:
            # A field without a name, or an unknown form of struct.
            return []
        found.append(_field(*field, _fields(field[1], depth + 1)))
    return first_of_each_name(found)


def _name_and_type(part: str, *, colon: bool) -> tuple[str, str] | None:
    if quoted := _QUOTED_NAME.fullmatch(part):
        in_backticks, in_quotes, type_text = quoted.groups()
        name = in_quotes.replace('""', '"') if in_quotes else in_backticks.replace("``", "`")
        return name, type_text
    if colon:
        # Spark does not quote names, even with spaces.
        before, separator, type_text = part.partition(":")
        name = before.strip()
        if separator and name and type_text.strip() and not any(sign in name for sign in "<>()[]"):
            return name, type_text.strip()
    plain = _PLAIN_NAME.fullmatch(part)
    return (plain[1], plain[2]) if plain else None


def _parts(text: str, start: int) -> tuple[list[str], int] | None:
    """Split the bracket at `start` at its own commas; return the parts and where it ends."""
    parts: list[str] = []
    closing: list[str] = []
    part_start = position = start
    while position < len(text):
        sign = text[position]
        if sign in "\"'`":
            position = text.find(sign, position + 1)
            if position < 0:
                return None
        elif sign in _CLOSING:
            closing.append(_CLOSING[sign])
            if len(closing) == 1:
                part_start = position + 1
        elif sign in ">)]}":
            if sign != closing.pop():
                return None
            if not closing:
                parts.append(text[part_start:position].strip())
                return parts, position + 1
        elif sign == "," and len(closing) == 1:
            parts.append(text[part_start:position].strip())
            part_start = position + 1
        position += 1
    return None
