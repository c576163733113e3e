import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openlineage.client.transport import get_default_factory
from openlineage.client.transport.console import ConsoleTransport

from openlineage_dagster_core.delivery.client import LineageClient, _transports
from openlineage_dagster_core.delivery.transport import TYPES, check, is_configured, names_console
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


def deny(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the system refuse any look into a directory; the tests may run as root."""
    stat = os.stat

    def refusing_stat(path: Any, *args: Any, **options: Any) -> os.stat_result:
        if str(path).startswith(str(directory)):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, *args, **options)

    monkeypatch.setattr(os, "stat", refusing_stat)


QUESTIONS = [is_configured, check, names_console]


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_home_that_may_not_be_read_is_no_error(
    question: Callable[[dict[str, str]], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deny(tmp_path / "home", monkeypatch)
    assert not question({})
    question({"OPENLINEAGE_URL": "http://localhost:5000"})


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_configuration_file_that_may_not_be_read_is_no_error(
    question: Callable[[dict[str, str]], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deny(tmp_path / "secret", monkeypatch)
    assert not question({"OPENLINEAGE_CONFIG": str(tmp_path / "secret" / "openlineage.yml")})


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_account_without_a_name_and_a_home_is_no_error(
    question: Callable[[dict[str, str]], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def getpwuid(uid: int) -> Any:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", getpwuid)
    assert not question({})


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_working_directory_that_was_deleted_is_no_error(
    question: Callable[[dict[str, str]], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    try:
        assert not question({})
    finally:
        # Where monkeypatch asks for the working directory, there must be one.
        os.chdir(tmp_path)


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("content", [b"transport: \xff", b"[" * 100_000, b"transport: {type: [}"])
def test_a_file_that_is_no_yaml_is_no_configuration(
    question: Callable[[dict[str, str]], object], tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "openlineage.yml").write_bytes(content)
    assert not question({})


CONSOLE = '{"type": "console"}'
HTTP = '{"type": "http", "url": "http://localhost:5000"}'


@pytest.mark.parametrize(
    ("environ", "file", "expected"),
    [
        ({}, "", False),
        ({"OPENLINEAGE_URL": "http://localhost:5000"}, "", False),
        ({"OPENLINEAGE__TRANSPORT__TYPE": "console"}, "", True),
        ({"OPENLINEAGE__TRANSPORT__TYPE": '"console"'}, "", True),
        ({"OPENLINEAGE__TRANSPORT": CONSOLE}, "", True),
        ({"OPENLINEAGE__TRANSPORT": HTTP}, "", False),
        ({"OPENLINEAGE__TRANSPORT": CONSOLE, "OPENLINEAGE__TRANSPORT__TYPE": "kafka"}, "", True),
        ({"OPENLINEAGE__TRANSPORT": "console"}, "", False),
        ({"OPENLINEAGE__TRANSPORT__TYPE": "console", "OPENLINEAGE_DISABLED": "true"}, "", False),
        (
            {
                "OPENLINEAGE__TRANSPORT__TYPE": "composite",
                "OPENLINEAGE__TRANSPORT__TRANSPORTS__LOG__TYPE": "console",
            },
            "",
            True,
        ),
        (
            {
                "OPENLINEAGE__TRANSPORT__TYPE": "composite",
                "OPENLINEAGE__TRANSPORT__TRANSPORTS": f"[{HTTP}, {CONSOLE}]",
            },
            "",
            True,
        ),
        ({"OPENLINEAGE__TRANSPORT__TYPE": "composite"}, "", False),
        ({"OPENLINEAGE__TRANSPORT__TRANSPORTS__LOG__TYPE": "console"}, "", False),
        ({}, "transport: {type: console}", True),
        (
            {},
            "transport: {type: openlineage.client.transport.console.ConsoleTransport}",
            True,
        ),
        ({"OPENLINEAGE__TRANSPORT__TYPE": "console"}, f"transport: {HTTP}", False),
        ({"OPENLINEAGE__TRANSPORT__TYPE": "console"}, "transport: {url: x}", True),
        ({"OPENLINEAGE__TRANSPORT__TYPE": "console"}, "transport:", True),
        ({"OPENLINEAGE__TRANSPORT__TYPE": "console"}, "transport: {type: }", True),
        ({"OPENLINEAGE__TRANSPORT__TYPE": "http"}, f"transport: {CONSOLE}", True),
        (
            {},
            f"transport: {{type: composite, transports: {{a: {HTTP}, b: {CONSOLE}}}}}",
            True,
        ),
        ({}, f"transport: {{type: composite, transports: [{HTTP}]}}", False),
        ({}, "transport: {type: composite, transports: console}", False),
        ({}, f"transport: {{type: transform, transport: {CONSOLE}}}", True),
        ({}, f"transport: {{type: transform, transport: {HTTP}}}", False),
        ({}, f"transport: {{type: http, transport: {CONSOLE}}}", False),
    ],
)
def test_the_console_is_found_wherever_it_is_named(
    tmp_path: Path, environ: dict[str, str], file: str, expected: bool
) -> None:
    (tmp_path / "openlineage.yml").write_text(file)
    assert names_console(environ) is expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"OPENLINEAGE__TRANSPORT__TYPE": "console"}, True),
        ({"OPENLINEAGE_URL": "http://localhost:5000"}, False),
        (
            {
                "OPENLINEAGE__TRANSPORT__TYPE": "composite",
                "OPENLINEAGE__TRANSPORT__TRANSPORTS__LOG__TYPE": "console",
                "OPENLINEAGE__TRANSPORT__TRANSPORTS__WEB": HTTP,
            },
            True,
        ),
    ],
)
def test_the_client_finds_the_console_where_we_do(
    environ: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert names_console(environ) is expected
    client = LineageClient(1)
    transports = list(_transports(client._client.transport))
    assert any(isinstance(each, ConsoleTransport) for each in transports) is expected
