import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from dagster._config import validate_config

from openlineage_dagster_core.options import (
    DeliveryOptions,
    SelectionOptions,
    StorageOnlyOptions,
    declared,
    setting,
    storage_config_schema,
)
from openlineage_dagster_core.settings import Settings

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"
TABLES = {
    "## Options of both mechanisms": DeliveryOptions,
    "## What is emitted": SelectionOptions,
    "## Options of Mechanism A": StorageOnlyOptions,
}


def table(options: type[Any]) -> str:
    rows = [
        f"| `{name}` | {option.shown} | {option.text} |\n"
        for name, option in declared(options).items()
    ]
    return "".join(["| option | default | |\n|---|---|---|\n", *rows])


def with_tables(page: str) -> str:
    for heading, options in TABLES.items():
        before, _, rest = page.partition(f"{heading}\n")
        [old] = re.findall(r"(?:^\|.*\n)+", rest, flags=re.MULTILINE)[:1]
        page = f"{before}{heading}\n{rest.replace(old, table(options), 1)}"
    return page


def test_the_tables_of_the_documentation_are_the_declarations(pytestconfig: pytest.Config) -> None:
    if not PAGE.is_file():
        pytest.skip("the documentation is not here")
    page = PAGE.read_text(encoding="utf-8")
    assert [each for each in TABLES if each not in page] == []
    if pytestconfig.getoption("--update-golden"):
        PAGE.write_text(with_tables(page), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == with_tables(page)


def test_every_setting_is_an_option() -> None:
    assert {each.name for each in fields(Settings)} - {"assets", "jobs"} <= declared().keys()


@pytest.mark.parametrize("option", declared())
def test_a_default_passes_its_own_check(option: str) -> None:
    default = setting(option, {})
    if isinstance(default, (str, int, float, Mapping)):
        assert setting(option, {option: default}) == default


@pytest.mark.parametrize(
    ("given", "is_right"),
    [
        ({"wrapped": {"module": "m", "class": "C", "config": {"base_dir": "x"}}}, True),
        ({"namespace": {"env": "OPENLINEAGE_NAMESPACE"}, "timeout": 2, "families": ["run"]}, True),
        ({"timeout": None, "families": None, "dataset_namespaces": None}, True),
        ({"dataset_namespaces": {"kind:snowflake": "snowflake://x"}}, True),
        ({"timeout": "soon"}, False),
        ({"families": "run"}, False),
        ({"dataset_symlinks": "yes"}, False),
        ({"source_code_bytes": 1.5}, False),
        ({"wrapped": None}, False),
    ],
)
def test_dagster_checks_the_types_of_dagster_yaml(given: dict[str, Any], is_right: bool) -> None:
    assert validate_config(storage_config_schema(), given).success is is_right
