"""Checks the installed distributions: our own, what they need, and what gets in their way."""

import contextlib
from collections.abc import Iterator, Mapping
from importlib import metadata, util
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

import openlineage_dagster_core
from openlineage_dagster_core.cli.doctor.finding import Finding, fine, note, problem

CORE = "openlineage-dagster-core"
SIBLINGS = ("openlineage-dagster-storage", "openlineage-dagster-sensor")
FOREIGN = "dagster-openlineage"
FACADE = "dagster_openlineage"
OUR_FACADE = Path(openlineage_dagster_core.__file__).parents[1] / FACADE
REINSTALL = f"pip install --force-reinstall --no-deps {CORE}"
NEEDED = ("dagster", "openlineage-python")
FIRST_UNFIT_SQLALCHEMY = "2.1"


def installed() -> dict[str, str]:
    """Return the versions of the installed distributions that matter here, by name."""
    found = {}
    for name in (CORE, *SIBLINGS, FOREIGN, *NEEDED, "sqlalchemy", "dagster-postgres"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def facade() -> Path | None:
    """Return the folder of the package `dagster_openlineage`; None if it cannot be imported."""
    spec = util.find_spec(FACADE)
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def check(found: Mapping[str, str], facade: Path | None) -> Iterator[Finding]:
    """Check what `installed` and `facade` return."""
    yield from _check_ours(found)
    yield from _check_needed(found)
    if FOREIGN in found:
        replaced = f"{FOREIGN} {found[FOREIGN]} is installed and replaces our package {FACADE}"
        yield problem(replaced, f"pip uninstall {FOREIGN}, then {REINSTALL}")
    elif facade != OUR_FACADE:
        step = f"Rename or remove what has its name, or {REINSTALL}"
        yield problem(f"{FACADE} is not ours: {facade or 'it cannot be imported'}", step)
    sqlalchemy = found.get("sqlalchemy")
    if sqlalchemy and "dagster-postgres" in found:
        # Releases, so that pre-releases of 2.1 count as well.
        if Version(sqlalchemy).release >= Version(FIRST_UNFIT_SQLALCHEMY).release:
            yield problem(
                f"SQLAlchemy {sqlalchemy} loads psycopg 3, and dagster-postgres needs psycopg2",
                f'pip install "sqlalchemy<{FIRST_UNFIT_SQLALCHEMY}"',
            )
        else:
            yield fine(f"sqlalchemy {sqlalchemy}, which suits dagster-postgres")


def _check_ours(found: Mapping[str, str]) -> Iterator[Finding]:
    core = found.get(CORE)
    siblings = {name: found[name] for name in SIBLINGS if name in found}
    others = [f"{name} {version}" for name, version in siblings.items() if version != core]
    if others:
        differ = f"{', '.join(others)} and {CORE} {core} are installed: all must have one version"
        yield problem(differ, "pip install --upgrade " + " ".join((CORE, *siblings)))
    elif siblings:
        yield fine(f"{CORE}, {', '.join(siblings)} {core}")
    else:
        step = f"pip install {SIBLINGS[0]} or {SIBLINGS[1]}"
        yield note(f"{CORE} {core} alone: neither mechanism is installed here", step)


def _check_needed(found: Mapping[str, str]) -> Iterator[Finding]:
    requirements = map(Requirement, metadata.requires(CORE) or ())
    allowed = {each.name.lower(): each.specifier for each in requirements}
    for name in NEEDED:
        version = found.get(name)
        if version is None or not allowed[name].contains(version, prereleases=True):
            needed = f"{name}{allowed[name]}"
            found_version = f"{name} {version or 'is not installed'}"
            yield problem(f"{found_version}: {needed} is needed", f'pip install "{needed}"')
        else:
            yield fine(f"{name} {version}")
