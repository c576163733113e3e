from __future__ import annotations

from pathlib import Path

import pytest

from openlineage_dagster_core.cli.doctor import versions
from openlineage_dagster_core.cli.doctor.finding import Finding, Status

GOOD = {
    "openlineage-dagster-core": "0.3.0",
    "openlineage-dagster-storage": "0.3.0",
    "dagster": "1.12.0",
    "openlineage-python": "1.60.0",
    "sqlalchemy": "2.0.40",
    "dagster-postgres": "0.28.0",
}


def problems(**changed: str) -> list[Finding]:
    named = {name.replace("_", "-"): version for name, version in changed.items()}
    found = versions.check({**GOOD, **named}, versions.OUR_FACADE)
    return [finding for finding in found if finding.status is Status.PROBLEM]


def test_what_fits_is_well() -> None:
    assert {finding.status for finding in versions.check(GOOD, versions.OUR_FACADE)} == {Status.OK}


@pytest.mark.parametrize("version", ["2.1.0", "2.1.0b2", "2.2.1", "3.0"])
def test_sqlalchemy_of_later_versions_does_not_suit_postgres(version: str) -> None:
    (found,) = problems(sqlalchemy=version)

    assert version in found.message
    assert found.remedy == 'pip install "sqlalchemy<2.1"'


def test_sqlalchemy_of_later_versions_suits_all_others() -> None:
    without = {name: each for name, each in GOOD.items() if name != "dagster-postgres"}

    found = versions.check({**without, "sqlalchemy": "2.1.0"}, versions.OUR_FACADE)

    assert {finding.status for finding in found} == {Status.OK}


def test_a_foreign_distribution_is_a_problem() -> None:
    (found,) = problems(dagster_openlineage="0.2.0")

    assert "dagster-openlineage 0.2.0" in found.message
    assert "pip uninstall dagster-openlineage" in (found.remedy or "")


@pytest.mark.parametrize("place", [None, Path("/somewhere/dagster_openlineage")])
def test_another_package_by_the_name_of_ours_is_a_problem(place: Path | None) -> None:
    (found,) = [each for each in versions.check(GOOD, place) if each.status is Status.PROBLEM]

    assert "dagster_openlineage is not ours" in found.message


def test_siblings_of_different_versions_are_a_problem() -> None:
    (found,) = problems(openlineage_dagster_sensor="0.2.9")

    assert "openlineage-dagster-sensor 0.2.9" in found.message
    assert "openlineage-dagster-storage 0.3.0" not in found.message


def test_core_alone_is_noted() -> None:
    without = {name: each for name, each in GOOD.items() if "storage" not in name}

    looked = versions.check(without, versions.OUR_FACADE)
    (found,) = [each for each in looked if each.status is Status.NOTE]

    assert "neither mechanism is installed" in found.message


@pytest.mark.parametrize("version", ["1.11.5", "1.10.21"])
def test_an_old_dagster_is_a_problem(version: str) -> None:
    (found,) = problems(dagster=version)

    assert f"dagster {version}" in found.message
    assert "1.11.6" in (found.remedy or "")


def test_a_development_version_of_dagster_is_none() -> None:
    assert not problems(dagster="1.14.0rc1")


def test_what_is_installed_here_is_found() -> None:
    assert versions.facade() == versions.OUR_FACADE
    assert {"openlineage-dagster-core", "dagster", "openlineage-python"} <= set(
        versions.installed()
    )
