"""Checks what is installed: our own parts, what they need, and what gets in the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import metadata, util
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

import openlineage_dagster_core
from openlineage_dagster_core.cli.doctor.finding import Finding, fine, note, problem

CHECK = "versions"

CORE = "openlineage-dagster-core"
SIBLINGS = ("openlineage-dagster-storage", "openlineage-dagster-sensor")
FOREIGN = "dagster-openlineage"
FACADE = "dagster_openlineage"
OUR_FACADE = Path(openlineage_dagster_core.__file__).parents[1] / FACADE
REINSTALL = f"pip install --force-reinstall --no-deps {CORE}"
SHOWN = ("dagster", "openlineage-python")

FIRST_UNFIT_SQLALCHEMY = "2.1"


def installed() -> dict[str, str]:
    """Find out which of the distributions that matter here are installed.

    Returns:
        By name, the version.
    """
    names = (CORE, *SIBLINGS, FOREIGN, *SHOWN, "sqlalchemy", "dagster-postgres")
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def facade() -> Path | None:
    """Find the package that configurations name.

    Returns:
        Its folder; None where it cannot be imported.
    """
    spec = util.find_spec(FACADE)
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def look(found: Mapping[str, str], facade: Path | None) -> Iterator[Finding]:
    """Check what is installed.

    Args:
        found: by distribution, the version.
        facade: where `dagster_openlineage` is imported from.

    Yields:
        What was found.
    """
    yield from _ours(found)
    yield from _needed(found)
    if FOREIGN in found:
        yield problem(
            CHECK,
            f"{FOREIGN} {found[FOREIGN]} is installed and stands where our dagster_openlineage is",
            f"pip uninstall {FOREIGN}, then {REINSTALL}",
        )
    elif facade != OUR_FACADE:
        yield problem(
            CHECK,
            f"{FACADE} is not ours: {facade or 'it is not there'}",
            f"Move away what bears its name, or {REINSTALL}",
        )
    sqlalchemy = found.get("sqlalchemy")
    if sqlalchemy and "dagster-postgres" in found:
        # Of 2.1's pre-releases too.
        if Version(sqlalchemy).release >= Version(FIRST_UNFIT_SQLALCHEMY).release:
            yield problem(
                CHECK,
                f"dagster-postgres takes the driver of SQLAlchemy {sqlalchemy} for another one",
                f'pip install "sqlalchemy<{FIRST_UNFIT_SQLALCHEMY}"',
            )
        else:
            yield fine(CHECK, f"sqlalchemy {sqlalchemy}, which suits dagster-postgres")


def _ours(found: Mapping[str, str]) -> Iterator[Finding]:
    core = found.get(CORE)
    siblings = {name: found[name] for name in SIBLINGS if name in found}
    others = [f"{name} {version}" for name, version in siblings.items() if version != core]
    if others:
        yield problem(
            CHECK,
            f"{', '.join(others)} beside {CORE} {core}: they must be of one version",
            "pip install --upgrade " + " ".join((CORE, *siblings)),
        )
    elif siblings:
        yield fine(CHECK, f"{CORE}, {', '.join(siblings)} {core}")
    else:
        yield note(
            CHECK,
            f"{CORE} {core} alone: neither mechanism is installed here",
            f"pip install {SIBLINGS[0]} or {SIBLINGS[1]}",
        )


def _needed(found: Mapping[str, str]) -> Iterator[Finding]:
    allowed = {
        requirement.name.lower(): requirement.specifier
        for requirement in map(Requirement, metadata.requires(CORE) or ())
    }
    for name in SHOWN:
        version = found.get(name)
        if version is None or not allowed[name].contains(version, prereleases=True):
            yield problem(
                CHECK,
                f"{name} {version or 'is not installed'} where {name}{allowed[name]} is needed",
                f'pip install "{name}{allowed[name]}"',
            )
        else:
            yield fine(CHECK, f"{name} {version}")
