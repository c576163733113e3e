"""The YAML of the documentation is what a user copies."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *ROOT.glob("packages/*/README.md"), *ROOT.glob("docs/**/*.md")]
BLOCKS = [
    pytest.param(block, id=f"{page.relative_to(ROOT)}-{number}")
    for page in sorted(PAGES)
    for number, block in enumerate(re.findall(r"(?ms)^```yaml\n(.*?)^```", page.read_text()))
]


def mappings(value: Any) -> Iterator[dict[str, Any]]:
    """Yield a mapping and all that are in it."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, (dict, list)):
            yield from mappings(inner)


def test_the_pages_of_both_mechanisms_have_such_blocks() -> None:
    pages = {block.id.rpartition("-")[0] for block in BLOCKS if block.id}
    assert {"README.md", "packages/openlineage-dagster-storage/README.md"} <= pages


@pytest.mark.parametrize("block", BLOCKS)
def test_the_event_log_on_sqlite_is_where_dagster_has_it(block: str) -> None:
    """In the folder of the runs, Dagster would find no log of any earlier run."""
    for storage in mappings(yaml.safe_load(block)):
        if storage.get("class") == "SqliteEventLogStorage":
            assert storage["config"]["base_dir"].endswith("/history/runs")
