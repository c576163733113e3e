"""Opens the instance and definitions of a command, and finds how OpenLineage is set up there."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openlineage_dagster_core.cli.code import CodeTarget, code_options, load
from openlineage_dagster_core.cli.terminal import CommandError, explained, report

if TYPE_CHECKING:
    from dagster import DagsterInstance, RepositoryDefinition

    from openlineage_dagster_core.facts.event_log import DefinitionsSource
    from openlineage_dagster_core.facts.model import Definitions
    from openlineage_dagster_core.replay.conversion import Conversion
    from openlineage_dagster_core.settings import Settings

HOME_VARIABLE = "DAGSTER_HOME"
CONFIG_FILE = "dagster.yaml"
INSTANCE_FOLDERS = ("history", "schedules", "storage", ".logs_queue")  # Dagster makes them
DEFAULT_PATIENCE = 60.0  # Seconds that a command waits for a backend that takes nothing
STORAGE, SENSOR = "storage", "sensor"


def patience_option(text: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Add `--patience`, a number of seconds, with a help text."""
    return click.option(
        "--patience",
        type=click.FloatRange(min=0),
        default=DEFAULT_PATIENCE,
        show_default=True,
        metavar="SECONDS",
        help=text,
    )


home_option = click.option(
    "--home",
    type=click.Path(path_type=Path),
    metavar="DIRECTORY",
    help="Where the instance's dagster.yaml is (default: DAGSTER_HOME).",
)


@dataclass(frozen=True)
class Deployment:
    """An open instance, and how OpenLineage is set up there."""

    home: Path
    instance: DagsterInstance
    mechanisms: tuple[str, ...]
    settings: Settings  # The mechanism's, or the environment's where no mechanism is known
    definitions: Definitions  # Those in the code that the user names
    sensors: tuple[str, ...] = ()  # The names of Mechanism B's sensors in that code

    def definitions_source(self) -> DefinitionsSource:
        """Return the source of each run's definitions: the code with the sensor, else the instance.

        The code fills in for runs that have kept no definitions in the instance.
        """
        # These load all of Dagster.
        from openlineage_dagster_core.facts.event_log import GivenDefinitions
        from openlineage_dagster_core.snapshots.reading import KeptDefinitions

        if self.mechanisms == (SENSOR,):
            return GivenDefinitions(self.definitions)
        return KeptDefinitions(lambda: self.instance, otherwise=self.definitions)

    def conversion(self) -> Conversion:
        """Return a conversion that gives the same events as the mechanism."""
        # It loads openlineage-python's client.
        from openlineage_dagster_core.replay.conversion import Conversion

        return Conversion(self.instance, self.settings, self.definitions_source())

    def unknown_run(self, run_id: str) -> CommandError:
        """Return the error for a run id that the user gave and the instance does not have."""
        return CommandError(f"There is no run {run_id} in {self.home}.", "See `dagster run list`.")


def home_of(given: Path | None, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the given directory, else that of the environment, if it holds an instance."""
    named = str(given) if given is not None else environ.get(HOME_VARIABLE, "")
    if not named:
        step = "Set it, or name the instance's directory with --home."
        raise CommandError(f"{HOME_VARIABLE} is not set.", step)
    home = Path(named).expanduser().absolute()
    if not home.is_dir():
        step = f"Set {HOME_VARIABLE} or --home to the instance's."
        raise CommandError(f"There is no directory {home}.", step)
    with explained(f"{home} cannot be read", "Use the account that Dagster runs under."):
        names = {path.name for path in home.iterdir()}
    if not names & {CONFIG_FILE, *INSTANCE_FOLDERS}:
        # Opening the directory would make it an instance.
        step = f"Set {HOME_VARIABLE} or --home to the directory with {CONFIG_FILE}."
        raise CommandError(f"{home} has no {CONFIG_FILE} and no folder of an instance.", step)
    return home


@contextlib.contextmanager
def opened(given: Path | None, code: CodeTarget) -> Iterator[Deployment]:
    """Open an instance (None: of `DAGSTER_HOME`) and definitions, without sending anything."""
    home = home_of(given)
    repository = load(code) if code.is_given else None
    with instance_at(home) as instance:
        yield deployment_of(home, instance, repository)


@contextlib.contextmanager
def instance_at(home: Path, *, sends: bool = False) -> Iterator[DagsterInstance]:
    """Open the instance in a directory; without `sends`, its storage starts no deliverer."""
    from dagster import DagsterInstance

    step = "Check its dagster.yaml, and that its database answers."
    with (
        explained(f"The instance in {home} cannot be opened", step),
        contextlib.nullcontext() if sends else _sending_disabled(),
        _no_warnings(),
    ):
        instance = DagsterInstance.from_config(str(home))
        # Dagster connects to the database at the first query.
        instance.get_run_records(limit=1)
    try:
        yield instance
    finally:
        instance.dispose()


def deployment_of(
    home: Path, instance: DagsterInstance, repository: RepositoryDefinition | None
) -> Deployment:
    """Find how OpenLineage is set up in an instance and in definitions, if the user names any."""
    # These load all of Dagster.
    from openlineage_dagster_core.errors import ConfigurationError
    from openlineage_dagster_core.facts.definitions import DefinedAssets, DefinedJobs
    from openlineage_dagster_core.facts.model import Definitions
    from openlineage_dagster_core.settings import SENSOR_SETTINGS, Settings

    storage: Any = instance.event_log_storage
    found: dict[str, Settings] = {}
    sensors: list[str] = []
    if getattr(storage, "openlineage_mechanism", None) is not None:
        found[STORAGE] = storage.settings
    for sensor in repository.sensor_defs if repository is not None else ():
        settings = getattr(sensor, SENSOR_SETTINGS, None)
        if settings is not None:
            found[SENSOR] = settings
            sensors.append(sensor.name)
    try:
        settings = next(iter(found.values()), None) or Settings.from_options({})
    except ConfigurationError as error:
        raise CommandError(f"{error}.", "Correct the environment variable.") from error
    definitions = Definitions()
    if repository is not None:
        assets = DefinedAssets(repository.asset_graph, settings.source_code_bytes)
        definitions = Definitions(assets, DefinedJobs(repository))
    return Deployment(home, instance, tuple(found), settings, definitions, tuple(sensors))


def deployment_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add `--home` and the options of definitions; the command gets the open `deployment`."""

    @home_option
    @code_options
    @functools.wraps(command)
    def with_deployment(*, home: Path | None, code: CodeTarget, **options: Any) -> int:
        with opened(home, code) as deployment:
            return command(deployment=deployment, **options)

    return with_deployment


def warn_without_mechanism(deployment: Deployment) -> None:
    """Print a note to standard error where names come from the environment alone."""
    if not deployment.mechanisms:
        report(
            "Note: neither mechanism is in sight, so names and namespaces come from the "
            "environment alone. With the sensor, name its definitions with -m or -f."
        )


@contextlib.contextmanager
def _no_warnings() -> Iterator[None]:
    """Hide Dagster's warning at each attempt to connect to a database that does not answer."""

    def is_error(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR

    # Dagster logs to the root logger. Each call adds a filter of its own: other threads may open
    # instances at the same time.
    root = logging.getLogger()
    root.addFilter(is_error)
    try:
        yield
    finally:
        root.removeFilter(is_error)


@contextlib.contextmanager
def _sending_disabled() -> Iterator[None]:
    """Disable OpenLineage: OpenLineageEventLogStorage decides when it is made if it sends."""
    from openlineage_dagster_core.settings import ENV_DISABLED

    before = os.environ.get(ENV_DISABLED)
    os.environ[ENV_DISABLED] = "true"
    try:
        yield
    finally:
        restore_disabled(before)


def restore_disabled(before: str | None) -> None:
    """Set `OPENLINEAGE_DISABLED` to what it was; None unsets it."""
    from openlineage_dagster_core.settings import ENV_DISABLED

    if before is None:
        os.environ.pop(ENV_DISABLED, None)
    else:
        os.environ[ENV_DISABLED] = before
