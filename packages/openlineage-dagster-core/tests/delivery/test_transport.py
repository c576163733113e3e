from pathlib import Path

import pytest
from openlineage.client.transport import get_default_factory

from openlineage_dagster_core.delivery.transport import TYPES, check, is_configured
from openlineage_dagster_core.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _nothing_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


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


def test_the_client_reads_one_file_whatever_stands_there(tmp_path: Path) -> None:
    (tmp_path / "openlineage.yml").write_text("transport: {type: http}")
    named = tmp_path / "lineage.yml"
    named.write_text("facets: {}")
    environ = {"OPENLINEAGE_CONFIG": str(named)}
    assert not is_configured(environ)
    # Nor is what the other says of interest, be it wrong.
    check(environ)
    named.unlink()
    assert is_configured(environ)


def test_what_the_client_sets_by_itself_is_no_configuration() -> None:
    assert not is_configured({"OPENLINEAGE__TRANSPORT__TRANSPORTS__DEFAULT_HTTP__TYPE": "http"})


@pytest.mark.parametrize(
    "text", ["", "facets: {}", "- 1", "{", "transport:", "transport: {url: 'http://x'}"]
)
def test_a_file_without_a_transport_does_not(tmp_path: Path, text: str) -> None:
    (tmp_path / "openlineage.yml").write_text(text)
    assert not is_configured({})


def test_the_known_types_are_the_clients() -> None:
    assert set(get_default_factory().transports) == TYPES  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("environ", "value", "allowed"),
    [
        ({"OPENLINEAGE__TRANSPORT__TYPE": "htp"}, "htp", "http"),
        ({"OPENLINEAGE__TRANSPORT__TYPE": "http"}, "None", "required"),
        (
            {"OPENLINEAGE__TRANSPORT__TYPE": "http", "OPENLINEAGE__TRANSPORT__URL": "marquez:5000"},
            "marquez",
            "http://localhost:5000",
        ),
        ({"OPENLINEAGE_URL": "marquez"}, "marquez", "http://localhost:5000"),
    ],
)
def test_a_wrong_transport_fails_when_it_is_read(
    environ: dict[str, str], value: str, allowed: str
) -> None:
    with pytest.raises(ConfigurationError, match=allowed) as raised:
        check(environ)
    assert value in str(raised.value)


def test_a_wrong_transport_in_a_file_fails_too(tmp_path: Path) -> None:
    (tmp_path / "openlineage.yml").write_text("transport: {type: htp}")
    with pytest.raises(ConfigurationError, match=r"openlineage\.yml: transport type"):
        check({})


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OPENLINEAGE_URL": ""},
        {"OPENLINEAGE_URL": "nonsense", "OPENLINEAGE_DISABLED": "true"},
        {"OPENLINEAGE__TRANSPORT__TYPE": "my.own.Transport"},
        {"OPENLINEAGE__TRANSPORT__TYPE": "kafka"},
    ],
)
def test_what_is_right_or_off_passes(environ: dict[str, str]) -> None:
    check(environ)
