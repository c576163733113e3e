"""The configurations of `docs/backends` are complete: each is loaded as Dagster loads it."""

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
import yaml

from openlineage_dagster_core.atlas import AtlasConfig
from openlineage_dagster_core.backends import Backend
from openlineage_dagster_core.cli.doctor import backends
from openlineage_dagster_core.cli.doctor.subject import Subject
from openlineage_dagster_core.delivery import configured, transport
from openlineage_dagster_core.delivery.configured import ConfiguredTransport
from openlineage_dagster_storage import OpenLineageEventLogStorage

PAGES = Path(__file__).parents[3] / "docs" / "backends"
SQLITE = {
    "module": "dagster._core.storage.sqlite_storage",
    "class": "DagsterSqliteStorage",
    "config": {"base_dir": {"env": "TEST_BASE_DIR"}},
}
# The pages of transports, which any backend may read from
WITHOUT_PRESET = {"kafka", "files-and-s3"}


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"))


def instances(page: Path) -> list[dict[str, Any]]:
    found = [yaml.safe_load(block) for block in blocks(page, "yaml")]
    return [each for each in found if "storage" in each]


def transports(page: Path, folder: Path) -> Iterator[ConfiguredTransport]:
    """Yield what the page's variables and its `openlineage.yml` configure, each alone."""
    environs: list[dict[str, str]] = []
    for block in blocks(page, "bash"):
        words = [shlex.split(line)[1] for line in block.splitlines()]
        environs.append(dict(word.split("=", 1) for word in words))
    for number, block in enumerate(blocks(page, "yaml")):
        if "transport" in yaml.safe_load(block):
            path = folder / f"openlineage-{number}.yml"
            path.write_text(block)
            environs.append({configured.ENV_CONFIG: str(path)})
    for environ in environs:
        transport.check(environ)
        found = configured.transport(environ)
        assert found is not None
        yield found


NAMES = sorted(path.stem for path in PAGES.glob("*.md")) if PAGES.is_dir() else []
CASES = [name for name in NAMES if name != "README" and instances(PAGES / f"{name}.md")]


def test_every_page_has_a_configuration() -> None:
    assert {*CASES} >= {*(each.value for each in Backend), *WITHOUT_PRESET}


@pytest.mark.parametrize("name", CASES)
def test_the_configurations_of_a_page_are_loaded(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_BASE_DIR", str(tmp_path / "base"))
    page = PAGES / f"{name}.md"
    kinds = []
    for found in transports(page, tmp_path):
        config_class = CONFIG_CLASSES[found.kind]()
        config_class.from_dict({key: each for key, each in found.config.items() if key != "type"})
        kinds.append(SimpleNamespace(kind=found.kind))
    assert kinds
    for content in instances(page):
        storage = content["storage"]["custom"]
        storage["config"].update(wrapped=SQLITE, deliver="external")
        (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(content))
        with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
            event_log = instance.event_log_storage
            assert isinstance(event_log, OpenLineageEventLogStorage)
            preset = event_log.settings.backend
            assert (preset.value if preset else None) == (None if name in WITHOUT_PRESET else name)
            found_by_doctor = backends.check(Subject({}, instance=instance), kinds)  # type: ignore[arg-type]
            assert {each.status.value for each in found_by_doctor} <= {"ok"}


def _config_class(module: str, name: str) -> Any:
    return lambda: getattr(importlib.import_module(f"openlineage.client.transport.{module}"), name)


CONFIG_CLASSES = {
    "http": _config_class("http", "HttpConfig"),
    "kafka": _config_class("kafka", "KafkaConfig"),
    "file": _config_class("file", "FileConfig"),
    "gcplineage": _config_class("gcplineage", "GCPLineageConfig"),
    "openlineage_dagster_core.atlas.AtlasTransport": lambda: AtlasConfig,
    "amazon_datazone_api": _config_class("amazon_datazone", "AmazonDataZoneConfig"),
}
