"""Opens what a command works on: an instance, how OpenLineage is set up there, definitions."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openlineage_dagster_core.cli.code import CodeTarget, load
from openlineage_dagster_core.cli.failure import CommandError, explained

if TYPE_CHECKING:
    from dagster import DagsterInstance, RepositoryDefinition

    from openlineage_dagster_core.facts.event_log import DefinitionsSource
    from openlineage_dagster_core.facts.model import Definitions
    from openlineage_dagster_core.replay.conversion import Conversion
    from openlineage_dagster_core.settings import Settings

HOME_VARIABLE = "DAGSTER_HOME"

CONFIG_FILE = "dagster.yaml"
INSTANCE_FOLDERS = ("history", "schedules", "storage", ".logs_queue")
"""Folders that Dagster makes in an instance's directory."""

STORAGE, SENSOR = "storage", "sensor"

OWN_FOLDER = "openlineage"
"""The folder in the instance's directory where the command line keeps its files."""


@dataclass(frozen=True)
class Deployment:
    """An instance, and how OpenLineage is set up there.

    Args:
        home: the instance's directory.
        instance: the open instance.
        mechanisms: the mechanisms that are configured, of `STORAGE` and `SENSOR`.
        settings: the mechanism's; only the environment's where no mechanism is known.
        definitions: of the code that `-m` or `-f` names; else empty.
        sensors: the names of the sensors of Mechanism B in that code.
    """

    home: Path
    instance: DagsterInstance
    mechanisms: tuple[str, ...]
    settings: Settings
    definitions: Definitions
    sensors: tuple[str, ...] = ()

    @property
    def own_folder(self) -> Path:
        """Where the command line keeps its files; it may not exist."""
        return self.home / OWN_FOLDER

    def definitions_source(self) -> DefinitionsSource:
        """Give each run the definitions that the mechanism delivers it with.

        Returns:
            The definitions of the code with the sensor; else what runs have kept in the instance,
            and the definitions of the code for everything else.
        """
        # These load all of Dagster.
        from openlineage_dagster_core.facts.event_log import GivenDefinitions
        from openlineage_dagster_core.snapshots.reading import KeptDefinitions

        if self.mechanisms == (SENSOR,):
            return GivenDefinitions(self.definitions)
        return KeptDefinitions(lambda: self.instance, otherwise=self.definitions)

    def conversion(self, assets: tuple[str, ...] = ()) -> Conversion:
        """Make a conversion that gives the same events as the mechanism.

        Args:
            assets: shell patterns of asset keys: other assets are left out; by default none is.

        Returns:
            The conversion.
        """
        # It loads openlineage-python's client.
        from openlineage_dagster_core.replay.conversion import Conversion, narrowed

        return Conversion(self.instance, narrowed(self.settings, assets), self.definitions_source())


def home_of(given: Path | None, environ: Mapping[str, str] = os.environ) -> Path:
    """Find the instance's directory.

    Args:
        given: with `--home`.
        environ: the process's environment.

    Returns:
        The directory.

    Raises:
        CommandError: no directory is named, or it holds no instance.
    """
    named = str(given) if given is not None else environ.get(HOME_VARIABLE, "")
    if not named:
        raise CommandError(
            f"{HOME_VARIABLE} is not set.", "Set it, or name the instance's directory with --home."
        )
    home = Path(named).expanduser().absolute()
    if not home.is_dir():
        raise CommandError(
            f"There is no directory {home}.", f"Set {HOME_VARIABLE} or --home to the instance's."
        )
    with explained(f"{home} cannot be read", "Use the account that Dagster runs under."):
        names = {path.name for path in home.iterdir()}
    if not names & {CONFIG_FILE, *INSTANCE_FOLDERS}:
        # Opening it would make it an instance.
        raise CommandError(
            f"{home} has no {CONFIG_FILE} and no folder of an instance.",
            f"Set {HOME_VARIABLE} or --home to the directory with {CONFIG_FILE}.",
        )
    return home


@contextlib.contextmanager
def opened(given: Path | None, code: CodeTarget) -> Iterator[Deployment]:
    """Open an instance without sending anything; dispose of it at the end.

    Args:
        given: the directory; None takes `DAGSTER_HOME`.
        code: where the definitions are; it may name none.

    Yields:
        The deployment.

    Raises:
        CommandError: the instance or the definitions cannot be opened.
    """
    home = home_of(given)
    repository = load(code) if code.is_given else None
    with instance_at(home) as instance:
        yield deployment_of(home, instance, repository)


@contextlib.contextmanager
def instance_at(home: Path, *, sends: bool = False) -> Iterator[DagsterInstance]:
    """Open the instance of a directory.

    Args:
        home: the directory.
        sends: whether OpenLineageEventLogStorage may start a deliverer, as it does in processes of
            Dagster.

    Yields:
        The instance.

    Raises:
        CommandError: it cannot be opened.
    """
    from dagster import DagsterInstance

    with (
        explained(
            f"The instance in {home} cannot be opened",
            "Check its dagster.yaml, and that its database answers.",
        ),
        contextlib.nullcontext() if sends else _nothing_sent(),
        _no_warnings(),
    ):
        instance = DagsterInstance.from_config(str(home))
        # Dagster connects to the database at the first question.
        instance.get_run_records(limit=1)
    try:
        yield instance
    finally:
        instance.dispose()


def deployment_of(
    home: Path, instance: DagsterInstance, repository: RepositoryDefinition | None
) -> Deployment:
    """Find how OpenLineage is set up.

    Args:
        home: the instance's directory.
        instance: the open instance.
        repository: the definitions; None where the user named none.

    Returns:
        The deployment.

    Raises:
        CommandError: the environment's settings are wrong.
    """
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
    return Deployment(
        home,
        instance,
        tuple(found),
        settings,
        Definitions(DefinedAssets(repository.asset_graph), DefinedJobs(repository))
        if repository is not None
        else Definitions(),
        tuple(sensors),
    )


def tell_whose_settings(deployment: Deployment) -> None:
    """Print to standard error where names come from, if no mechanism is known.

    Args:
        deployment: what the command works on.
    """
    if not deployment.mechanisms:
        click.echo(
            "Note: neither mechanism is in sight, so names and namespaces come from the "
            "environment alone. With the sensor, name its definitions with -m or -f.",
            err=True,
        )


@contextlib.contextmanager
def _no_warnings() -> Iterator[None]:
    """Keep Dagster from warning at each attempt to connect to a database that does not answer."""

    def is_error(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR

    # Dagster logs to the root logger. A filter belongs to this call: other threads may open
    # instances at the same time.
    root = logging.getLogger()
    root.addFilter(is_error)
    try:
        yield
    finally:
        root.removeFilter(is_error)


@contextlib.contextmanager
def _nothing_sent() -> Iterator[None]:
    """Keep OpenLineageEventLogStorage from starting a deliverer: it decides when it is made."""
    from openlineage_dagster_core.settings import ENV_DISABLED

    before = os.environ.get(ENV_DISABLED)
    os.environ[ENV_DISABLED] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ[ENV_DISABLED]
        else:
            os.environ[ENV_DISABLED] = before
