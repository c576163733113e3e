import json

from openlineage.client.serde import Serde

from openlineage_dagster_core.facets.sql import sql_facet
from openlineage_spec import facet_faults


def test_a_query_comes_without_secrets() -> None:
    facet = json.loads(Serde.to_json(sql_facet("CREATE USER x PASSWORD 'abc'", "snowflake")))
    assert facet_faults("sql", facet) == []
    assert (facet["query"], facet["dialect"]) == ("CREATE USER x PASSWORD '***'", "snowflake")


def test_without_a_dialect_there_is_none() -> None:
    assert "dialect" not in json.loads(Serde.to_json(sql_facet("SELECT 1", None)))


def test_a_long_query_is_cut() -> None:
    assert len(sql_facet("SELECT " + "1, " * 10**6, None).query.encode()) <= 65536
