import pytest

from openlineage_dagster_core.facets.hierarchy import hierarchy_facet


@pytest.mark.parametrize(
    ("table_name", "levels"),
    [
        ("shop.orders", [("SCHEMA", "shop"), ("TABLE", "orders")]),
        ("db.shop.orders", [("DATABASE", "db"), ("SCHEMA", "shop"), ("TABLE", "orders")]),
        (
            '"my.db".`shop`.[orders]',
            [("DATABASE", "my.db"), ("SCHEMA", "shop"), ("TABLE", "orders")],
        ),
    ],
)
def test_a_table_is_in_its_schema_and_its_database(
    table_name: str, levels: list[tuple[str, str]]
) -> None:
    facet = hierarchy_facet(table_name, "TABLE")
    assert facet is not None
    assert [(level.type, level.name) for level in facet.hierarchy] == levels


@pytest.mark.parametrize("table_name", ["orders", "", ".", "server.db.shop.orders"])
def test_a_name_without_known_levels_has_no_hierarchy(table_name: str) -> None:
    assert hierarchy_facet(table_name, "TABLE") is None
