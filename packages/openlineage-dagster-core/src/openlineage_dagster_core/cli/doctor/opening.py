"""Opens what is examined, as far as it can be opened, and says what cannot."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from openlineage_dagster_core.cli.code import CodeTarget, load
from openlineage_dagster_core.cli.deployment import CONFIG_FILE, home_of, instance_at
from openlineage_dagster_core.cli.doctor.boundary import bounded, failure
from openlineage_dagster_core.cli.doctor.finding import Finding, fine, note, problem
from openlineage_dagster_core.cli.doctor.subject import Subject
from openlineage_dagster_core.settings import ENV_DISABLED

if TYPE_CHECKING:
    from dagster import DagsterInstance

INSTANCE = "instance"
DEFINITIONS = "definitions"

OPENING_SECONDS = 30.0
"""Dagster itself tries for a while to connect to a database."""

LOADING_SECONDS = 120.0
"""Users' code may do anything when it is imported."""


class Opening:
    """Opens an instance and definitions; what cannot be opened is missing from the subject.

    Args:
        environ: the process's environment.

    Attributes:
        subject: what is known so far.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.subject = Subject(environ)
        self._open = contextlib.ExitStack()

    def open(self, home: Path | None, code: CodeTarget) -> Iterator[Finding]:
        """Open all that can be.

        Args:
            home: the instance's directory; None takes `DAGSTER_HOME`.
            code: where definitions are, if anywhere.

        Yields:
            How it went.
        """
        if code.is_given:
            yield self._load(code)
        try:
            directory = home_of(home, self.subject.environ)
        except Exception as error:
            # Of a directory that is none, or forbidden.
            yield failure(INSTANCE, error)
            return
        self.subject = replace(self.subject, home=directory)
        yield from self._open_instance(directory)

    def close(self) -> None:
        """Let go of the instance."""
        self._open.close()

    def _load(self, code: CodeTarget) -> Finding:
        what = code.module_name or str(code.python_file)
        try:
            repository = bounded(f"Loading {what}", lambda: load(code), LOADING_SECONDS)
        except SystemExit as error:
            return problem(
                DEFINITIONS, f"{what} ends the process: exit {error.code}", "Have it not do that."
            )
        except Exception as error:
            # Of the user's code.
            return failure(DEFINITIONS, error)
        self.subject = replace(self.subject, repository=repository, code=code)
        return fine(DEFINITIONS, f"{what} is loaded")

    def _open_instance(self, home: Path) -> Iterator[Finding]:
        file = home / CONFIG_FILE
        try:
            written = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        except FileNotFoundError:
            yield note(
                INSTANCE, f"{home} has no {CONFIG_FILE}: all is as Dagster has it by default"
            )
            written = {}
        except (OSError, ValueError, yaml.YAMLError) as error:
            reason = "it may not" if isinstance(error, PermissionError) else "it is no YAML"
            yield problem(
                INSTANCE,
                f"{file} cannot be read: {reason}",
                "Use the account that Dagster runs under."
                if isinstance(error, PermissionError)
                else "Set the file right.",
            )
            return
        if isinstance(written, dict):
            self.subject = replace(self.subject, written=written)
        try:
            instance = bounded(
                f"Opening the instance in {home}", lambda: self._enter(home), OPENING_SECONDS
            )
        except Exception as error:
            # Of whatever storage is configured.
            self._restore_environment()
            yield failure(INSTANCE, error)
            return
        self.subject = replace(self.subject, instance=instance)
        yield fine(INSTANCE, f"{home} is open: {type(instance.event_log_storage).__name__}")

    def _enter(self, home: Path) -> DagsterInstance:
        return self._open.enter_context(instance_at(home))

    def _restore_environment(self) -> None:
        """Undo what a thread has set that hangs: it will not come to it."""
        before = self.subject.environ.get(ENV_DISABLED)
        if before is None:
            os.environ.pop(ENV_DISABLED, None)
        else:
            os.environ[ENV_DISABLED] = before
