from pathlib import Path

import pytest

from openlineage_dagster_core.delivery.transport import is_configured


@pytest.fixture(autouse=True)
def _nothing_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")


def test_without_any_configuration_there_is_none() -> None:
    assert not is_configured({})


@pytest.mark.parametrize(
    "environ",
    [
        {"OPENLINEAGE_URL": "http://localhost:5000"},
        {"OPENLINEAGE__TRANSPORT__TYPE": "console"},
        {"OPENLINEAGE__TRANSPORT": '{"type": "console"}'},
    ],
)
def test_the_environment_configures(environ: dict[str, str]) -> None:
    assert is_configured(environ)


def test_openlineage_disabled_switches_off() -> None:
    environ = {"OPENLINEAGE_URL": "http://localhost:5000", "OPENLINEAGE_DISABLED": "true"}
    assert not is_configured(environ)


def test_a_file_in_the_working_directory_configures(tmp_path: Path) -> None:
    (tmp_path / "openlineage.yml").write_text("transport: {type: console}")
    assert is_configured({})


def test_a_named_file_configures(tmp_path: Path) -> None:
    path = tmp_path / "lineage.yml"
    path.write_text("transport: {type: console}")
    assert is_configured({"OPENLINEAGE_CONFIG": str(path)})


def test_a_file_in_the_home_directory_configures(tmp_path: Path) -> None:
    folder = tmp_path / "home" / ".openlineage"
    folder.mkdir(parents=True)
    (folder / "openlineage.yml").write_text("transport: {type: console}")
    assert is_configured({})


def test_what_the_client_sets_by_itself_is_no_configuration() -> None:
    assert not is_configured({"OPENLINEAGE__TRANSPORT__TRANSPORTS__DEFAULT_HTTP__TYPE": "http"})


@pytest.mark.parametrize(
    "text", ["", "facets: {}", "- 1", "{", "transport:", "transport: {url: 'http://x'}"]
)
def test_a_file_without_a_transport_does_not(tmp_path: Path, text: str) -> None:
    (tmp_path / "openlineage.yml").write_text(text)
    assert not is_configured({})
