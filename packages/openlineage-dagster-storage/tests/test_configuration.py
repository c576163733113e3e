"""Configurations are told apart by short digests that give no secret away."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from openlineage_dagster_core.settings import Settings
from openlineage_dagster_storage.configuration import DIGITS, configuration_of

ENVIRON = {"OPENLINEAGE_URL": "http://backend:5000", "OPENLINEAGE_API_KEY": "a-secret", "HOME": "x"}


def test_the_same_settings_and_environment_have_the_same_digest() -> None:
    assert configuration_of(Settings(), ENVIRON) == configuration_of(Settings(), dict(ENVIRON))


@pytest.mark.parametrize(
    "change",
    [
        {"OPENLINEAGE_URL": "http://other:5000"},
        {"OPENLINEAGE_API_KEY": "another"},
        {"OPENLINEAGE__TRANSPORT__TYPE": "console"},
        {"OPENLINEAGE_URL": ""},
    ],
)
def test_another_address_or_key_is_another_configuration(change: dict[str, str]) -> None:
    before = configuration_of(Settings(), ENVIRON)
    after = configuration_of(Settings(), {**ENVIRON, **change})
    assert after.digest != before.digest
    [name] = change
    differing = {
        part
        for part in {*before.parts, *after.parts}
        if before.parts.get(part) != after.parts.get(part)
    }
    assert differing == {f"variable {name}"}, "it is named"


def test_another_option_is_another_configuration() -> None:
    other = Settings.from_options({"job_namespace": "other"}, {})
    before, after = (configuration_of(each, ENVIRON) for each in (Settings(), other))
    differing = {part for part in before.parts if before.parts[part] != after.parts[part]}
    assert differing == {"option job_namespace"}


def test_another_openlineage_yml_is_another_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "openlineage.yml"
    environ = {"OPENLINEAGE_CONFIG": str(path)}
    digests = set()
    for kind in ("console", "noop"):
        path.write_text(f"transport:\n  type: {kind}\n")
        configuration = configuration_of(Settings(), environ)
        assert "file openlineage.yml" in configuration.parts
        digests.add(configuration.digest)
    assert len(digests) == 2


@pytest.mark.parametrize(
    "name",
    [
        "OPENLINEAGE_PARENT_ID",
        "OPENLINEAGE_ROOT_PARENT_ID",
        "OPENLINEAGE_CONTEXT",
        "OPENLINEAGE_DISABLED",
        "DAGSTER_RUN_JOB_NAME",
    ],
)
def test_what_differs_from_run_to_run_is_no_part_of_it(name: str) -> None:
    changed = configuration_of(Settings(), {**ENVIRON, name: "x"})
    assert changed.digest == configuration_of(Settings(), ENVIRON).digest


def test_no_value_is_in_it() -> None:
    written = json.dumps(asdict(configuration_of(Settings(), ENVIRON)))
    assert "a-secret" not in written
    assert "backend" not in written
    parts = configuration_of(Settings(), ENVIRON).parts
    assert {len(digest) for part, digest in parts.items() if part != "version"} == {DIGITS}


def test_a_value_that_is_no_text_is_told_apart_too() -> None:
    environ = {"OPENLINEAGE_URL": "http://x/\udcff"}
    assert configuration_of(Settings(), environ).parts["variable OPENLINEAGE_URL"]


@pytest.mark.parametrize("seed", ["1", "2"])
def test_every_process_finds_the_same_digest(seed: str) -> None:
    program = (
        "import os; from openlineage_dagster_core.settings import Settings;"
        "from openlineage_dagster_storage.configuration import configuration_of;"
        "options = {'families': ['run', 'asset', 'check', 'step'],"
        " 'disabled_facets': ['sql', 'tags']};"
        "settings = Settings.from_options(options, {});"
        "print(configuration_of(settings, {'OPENLINEAGE_URL': 'http://x'}).digest)"
    )
    printed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    options = {"families": ["check", "step", "run", "asset"], "disabled_facets": ["tags", "sql"]}
    settings = Settings.from_options(options, {})
    expected = configuration_of(settings, {"OPENLINEAGE_URL": "http://x"}).digest
    assert printed.stdout.strip() == expected
