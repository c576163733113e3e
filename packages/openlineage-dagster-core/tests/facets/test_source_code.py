import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openlineage.client.serde import Serde

from openlineage_dagster_core.facets.source_code import source_code_location_facet, sql_facet
from openlineage_spec import facet_faults

SHA = "693e35482bc2e526ced2b5f9f76ef83dec6ec691"


def location(url: str) -> dict[str, Any] | None:
    built = source_code_location_facet(url)
    if built is None:
        return None
    facet = json.loads(Serde.to_json(built))
    assert facet_faults("sourceCodeLocation", facet) == []
    return {key: value for key, value in facet.items() if not key.startswith("_")}


@pytest.mark.parametrize(
    ("url", "rest"),
    [
        (
            "https://github.com/o/r/tree/main/dags/a.py#L12",
            {"repoUrl": "https://github.com/o/r", "path": "dags/a.py", "branch": "main"},
        ),
        (
            f"https://github.com/o/r/blob/{SHA}/a.py",
            {"repoUrl": "https://github.com/o/r", "path": "a.py", "version": SHA},
        ),
        (
            "https://github.acme.com/o/r/tree/main",
            {"repoUrl": "https://github.acme.com/o/r", "branch": "main"},
        ),
        (
            "https://gitlab.com/g/r/-/tree/main/a.py",
            {"repoUrl": "https://gitlab.com/g/r", "path": "a.py", "branch": "main"},
        ),
        (
            f"http://git.acme.com:8080/g/sub/r/-/blob/{SHA}/x/a.py#L1",
            {"repoUrl": "http://git.acme.com:8080/g/sub/r", "path": "x/a.py", "version": SHA},
        ),
        ("https://bitbucket.org/o/r/src/main/a.py", {}),
        ("https://example.org", {}),
    ],
)
def test_a_page_tells_of_its_repository(url: str, rest: dict[str, str]) -> None:
    assert location(url) == {"type": "git", "url": url, **rest}


def test_a_file_is_a_path() -> None:
    assert location("file:///app/my dags/a.py") == {
        "type": "file",
        "url": "file:///app/my%20dags/a.py",
        "path": "/app/my dags/a.py",
    }


def test_user_and_password_do_not_come_out() -> None:
    assert location("https://me:pw@github.com/o/r/blob/main/ä.py") == {
        "type": "git",
        "url": "https://github.com/o/r/blob/main/%C3%A4.py",
        "repoUrl": "https://github.com/o/r",
        "path": "ä.py",
        "branch": "main",
    }


@pytest.mark.parametrize(
    "url",
    ["", "a.py", "/app/a.py", "file://a.py", "file:a.py", "git@github.com:o/r.git", "https://", "ftp://h"],
)  # fmt: skip
def test_anything_else_is_no_location(url: str) -> None:
    assert location(url) is None


@given(st.text(st.characters(exclude_categories=())), st.sampled_from(
    ["", "https://", "https://github.com/o/r/blob/", "https://h/g/r/-/tree/", "file:///"]
))  # fmt: skip
def test_no_text_breaks_it(text: str, prefix: str) -> None:
    location(prefix + text)


def test_a_query_comes_without_secrets() -> None:
    facet = json.loads(Serde.to_json(sql_facet("CREATE USER x PASSWORD 'abc'", "snowflake")))
    assert facet_faults("sql", facet) == []
    assert (facet["query"], facet["dialect"]) == ("CREATE USER x PASSWORD '***'", "snowflake")


def test_without_a_dialect_there_is_none() -> None:
    assert "dialect" not in json.loads(Serde.to_json(sql_facet("SELECT 1", None)))


def test_a_long_query_is_cut() -> None:
    assert len(sql_facet("SELECT " + "1, " * 10**6, None).query.encode()) <= 65536
