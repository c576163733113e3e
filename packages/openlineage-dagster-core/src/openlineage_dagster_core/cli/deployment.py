"""What a command works on: an instance, how OpenLineage is set up there, and definitions."""

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

    from openlineage_dagster_core.facts.model import Definitions
    from openlineage_dagster_core.replay.conversion import Conversion
    from openlineage_dagster_core.settings import Settings

HOME_VARIABLE = "DAGSTER_HOME"

CONFIG_FILE = "dagster.yaml"
INSTANCE_FOLDERS = ("history", "schedules", "storage", ".logs_queue")
"""What Dagster makes in an instance's directory."""

STORAGE, SENSOR = "storage", "sensor"

OUTBOX_FOLDER = "openlineage"
"""Under the instance's directory, where `outbox_directory` does not say otherwise."""


@dataclass(frozen=True)
class Deployment:
    """An instance, and how OpenLineage is set up there.

    Args:
        home: the instance's directory.
        instance: nothing is sent because it is open.
        mechanisms: which are configured, of `STORAGE` and `SENSOR`.
        settings: those of the mechanism; of the environment alone, where none is known.
        definitions: of the code that was named; else none.
    """

    home: Path
    instance: DagsterInstance
    mechanisms: tuple[str, ...]
    settings: Settings
    definitions: Definitions

    @property
    def outbox_directory(self) -> Path:
        """Where events wait, where the storage sends them."""
        storage: Any = self.instance.event_log_storage
        directory = getattr(storage, "outbox_directory", None)
        return directory if directory is not None else self.home / OUTBOX_FOLDER

    def conversion(self, assets: tuple[str, ...] = ()) -> Conversion:
        """Convert what the event log holds, as the mechanism does.

        Args:
            assets: shell patterns of the keys of those that it is about; by default all.

        Returns:
            What converts it.
        """
        # It brings openlineage-python's client along.
        from openlineage_dagster_core.replay.conversion import (
            Conversion,
            definitions_by_run,
            narrowed,
        )

        return Conversion(
            self.instance,
            narrowed(self.settings, assets),
            definitions_by_run(self.outbox_directory, self.definitions),
        )


def home_of(given: Path | None, environ: Mapping[str, str] = os.environ) -> Path:
    """Find the instance's directory.

    Args:
        given: with `--home`.
        environ: the process's environment.

    Returns:
        The directory.

    Raises:
        CommandError: none is named, or there is no instance.
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
        # To open it would make it one.
        raise CommandError(
            f"{home} has no {CONFIG_FILE}, and nothing of an instance's.",
            f"Set {HOME_VARIABLE} or --home to the directory with {CONFIG_FILE}.",
        )
    return home


@contextlib.contextmanager
def opened(given: Path | None, code: CodeTarget) -> Iterator[Deployment]:
    """Open an instance, and let go of it at the end.

    Args:
        given: the directory; None takes `DAGSTER_HOME`.
        code: where definitions are, if anywhere.

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
        sends: whether a storage of ours may send what waits there.

    Yields:
        The instance.

    Raises:
        CommandError: it cannot be opened.
    """
    from dagster import DagsterInstance

    with (
        explained(
            f"The instance in {home} cannot be opened",
            "See that its dagster.yaml is right and its database answers.",
        ),
        contextlib.nullcontext() if sends else _nothing_sent(),
        _no_warnings(),
    ):
        instance = DagsterInstance.from_config(str(home))
        # Databases connect when they are asked.
        instance.get_run_records(limit=1)
    try:
        yield instance
    finally:
        instance.dispose()


def deployment_of(
    home: Path, instance: DagsterInstance, repository: RepositoryDefinition | None
) -> Deployment:
    """Find out how OpenLineage is set up.

    Args:
        home: the instance's directory.
        instance: opened.
        repository: the definitions, where they are at hand.

    Returns:
        The deployment.

    Raises:
        CommandError: the environment's settings are wrong.
    """
    # They bring a lot along.
    from openlineage_dagster_core.errors import ConfigurationError
    from openlineage_dagster_core.facts.definitions import DefinedAssets, DefinedJobs
    from openlineage_dagster_core.facts.model import Definitions
    from openlineage_dagster_core.settings import SENSOR_SETTINGS, Settings

    storage: Any = instance.event_log_storage
    found: dict[str, Settings] = {}
    if getattr(storage, "openlineage_mechanism", None) is not None:
        found[STORAGE] = storage.settings
    for sensor in repository.sensor_defs if repository is not None else ():
        settings = getattr(sensor, SENSOR_SETTINGS, None)
        if settings is not None:
            found[SENSOR] = settings
    try:
        settings = next(iter(found.values()), None) or Settings.from_options({})
    except ConfigurationError as error:
        raise CommandError(f"{error}.", "Set it right.") from error
    return Deployment(
        home,
        instance,
        tuple(found),
        settings,
        Definitions(DefinedAssets(repository.asset_graph), DefinedJobs(repository))
        if repository is not None
        else Definitions(),
    )


def tell_whose_settings(deployment: Deployment) -> None:
    """Say on standard error where names come from, if neither mechanism is known.

    Args:
        deployment: what a command works on.
    """
    if not deployment.mechanisms:
        click.echo(
            "Note: neither mechanism is in sight, so names and namespaces are those of the "
            "environment. With the sensor, name its definitions with -m or -f.",
            err=True,
        )


@contextlib.contextmanager
def _no_warnings() -> Iterator[None]:
    """Keep Dagster from telling each time that it tries a database that does not answer."""

    def is_error(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR

    # It logs to the root. A filter is this call's own: others may open instances meanwhile.
    root = logging.getLogger()
    root.addFilter(is_error)
    try:
        yield
    finally:
        root.removeFilter(is_error)


@contextlib.contextmanager
def _nothing_sent() -> Iterator[None]:
    """Keep a storage of ours from sending what waits: it decides that when it is made."""
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
