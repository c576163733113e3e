"""The options `-m`, `-f`, `-a` and `-d`, and loading the definitions that they name.

Uses private API of Dagster: nothing public finds definitions in a module.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openlineage_dagster_core.cli.terminal import CommandError, explained

if TYPE_CHECKING:
    from dagster import RepositoryDefinition


@dataclass(frozen=True)
class CodeTarget:
    """Where definitions are: in a module or a file, and there in a variable if it has several."""

    module_name: str | None = None
    python_file: Path | None = None
    attribute: str | None = None
    working_directory: Path | None = None

    @property
    def is_given(self) -> bool:
        """True if a module or a file is named."""
        return self.module_name is not None or self.python_file is not None

    @property
    def name(self) -> str:
        """The module or the file."""
        return self.module_name or str(self.python_file)


def code_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of Dagster's own commands; the command gets them as `code`, a CodeTarget."""

    @functools.wraps(command)
    def with_code(*arguments: Any, **options: Any) -> Any:
        code = CodeTarget(**{field.name: options.pop(field.name) for field in fields(CodeTarget)})
        return command(*arguments, code=code, **options)

    folder = click.Path(file_okay=False, path_type=Path)
    file = click.Path(dir_okay=False, path_type=Path)
    # The last one stands first in the help.
    for names, kind, text in (
        (("-d", "--working-directory"), folder, "Where imports of the definitions start."),
        (("-a", "--attribute"), None, "The variable that holds the definitions."),
        (("-f", "--python-file"), file, "The file that holds the definitions."),
        (("-m", "--module-name"), None, "The module that holds the definitions."),
    ):
        with_code = click.option(*names, type=kind, help=text)(with_code)
    return with_code


def load(target: CodeTarget) -> RepositoryDefinition:
    """Load definitions, which runs the user's code; raise CommandError where that fails."""
    if target.module_name is not None and target.python_file is not None:
        raise CommandError("-m and -f exclude each other.", "Give one of them.")
    if target.python_file is not None and not target.python_file.is_file():
        missing = f"There is no file {target.python_file}."
        raise CommandError(missing, "Name the file with the definitions after -f.")
    step = "Run `dagster definitions validate` with the same options for details."
    with explained(f"The definitions in {target.name} cannot be loaded", step):
        return _load(target)


def _load(target: CodeTarget) -> RepositoryDefinition:
    from dagster._core.code_pointer import CodePointer
    from dagster._core.definitions.reconstruct import repository_def_from_target_def
    from dagster._core.workspace import autodiscovery

    directory = str((target.working_directory or Path.cwd()).absolute())
    if sys.path[:1] != [directory]:
        # Dagster takes the first entry for the script's directory, and ignores it.
        sys.path.insert(0, directory)
    find: Callable[[str, str], Any] = autodiscovery.loadable_targets_from_python_module
    point: Callable[..., CodePointer] = CodePointer.from_module
    if target.python_file is not None:
        find, point = autodiscovery.loadable_targets_from_python_file, CodePointer.from_python_file
    attribute = target.attribute
    if attribute is None:
        found = find(target.name, directory)
        if len(found) > 1:
            names = ", ".join(each.attribute for each in found)
            several = f"{target.name} has several definitions: {names}."
            raise CommandError(several, "Choose one with -a.")
        attribute = found[0].attribute
    pointer = point(target.name, attribute, directory)
    repository = repository_def_from_target_def(pointer.load_target())
    if repository is None:
        raise CommandError(f"{attribute} is not a Definitions object.", "Name one after -a.")
    return repository
