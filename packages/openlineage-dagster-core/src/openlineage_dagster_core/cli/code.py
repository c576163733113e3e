"""Loads the definitions that `-m` or `-f` names, as Dagster's own commands do.

An adapter of what Dagster keeps to itself: nothing public finds definitions in a module.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from openlineage_dagster_core.cli.failure import CommandError, explained

if TYPE_CHECKING:
    from dagster import RepositoryDefinition


@dataclass(frozen=True)
class CodeTarget:
    """Where definitions are.

    Args:
        module_name: an importable module.
        python_file: a file instead.
        attribute: their name in there; else the only ones there are.
        working_directory: where imports start; else the current directory.
    """

    module_name: str | None = None
    python_file: Path | None = None
    attribute: str | None = None
    working_directory: Path | None = None

    @property
    def is_given(self) -> bool:
        """Whether it names anything."""
        return self.module_name is not None or self.python_file is not None


def load(target: CodeTarget) -> RepositoryDefinition:
    """Load definitions; this runs the user's code.

    Args:
        target: where they are.

    Returns:
        The repository that they make.

    Raises:
        CommandError: they cannot be found or imported.
    """
    if target.module_name is not None and target.python_file is not None:
        raise CommandError("-m and -f exclude each other.", "Give one of them.")
    if target.python_file is not None and not target.python_file.is_file():
        raise CommandError(
            f"There is no file {target.python_file}.",
            "Name the file with the definitions after -f.",
        )
    what = target.module_name or str(target.python_file)
    with explained(
        f"The definitions in {what} cannot be loaded",
        "`dagster definitions validate` with the same options tells more.",
    ):
        return _loaded(target)


def _loaded(target: CodeTarget) -> RepositoryDefinition:
    from dagster._core.code_pointer import CodePointer
    from dagster._core.definitions.reconstruct import repository_def_from_target_def
    from dagster._core.workspace.autodiscovery import (
        loadable_targets_from_python_file,
        loadable_targets_from_python_module,
    )

    directory = str((target.working_directory or Path.cwd()).absolute())
    if sys.path[:1] != [directory]:
        # Dagster takes the first for the script's directory, and does without it.
        sys.path.insert(0, directory)
    attribute = target.attribute
    if attribute is None:
        if target.python_file is not None:
            found = loadable_targets_from_python_file(str(target.python_file), directory)
        else:
            found = loadable_targets_from_python_module(str(target.module_name), directory)
        if len(found) > 1:
            names = ", ".join(each.attribute for each in found)
            raise CommandError(
                f"There are several definitions in there: {names}.", "Choose one with -a."
            )
        attribute = found[0].attribute
    pointer: CodePointer = (
        CodePointer.from_python_file(str(target.python_file), attribute, directory)
        if target.python_file is not None
        else CodePointer.from_module(str(target.module_name), attribute, directory)
    )
    repository = repository_def_from_target_def(pointer.load_target())
    if repository is None:
        raise CommandError(f"{attribute} is no definitions.", "Name a Definitions object after -a.")
    return repository
