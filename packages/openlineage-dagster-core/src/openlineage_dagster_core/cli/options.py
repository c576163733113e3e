"""Options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from openlineage_dagster_core.cli.code import CodeTarget

F = TypeVar("F", bound=Callable[..., Any])


def home_option(command: F) -> F:
    """Add `--home`.

    Args:
        command: takes `home`, a path or None.

    Returns:
        The command.
    """
    return click.option(
        "--home",
        type=click.Path(path_type=Path),
        metavar="DIRECTORY",
        help="Where the instance's dagster.yaml is (default: DAGSTER_HOME).",
    )(command)


def code_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `-m`, `-f`, `-a` and `-d`, as Dagster's own commands have them.

    Args:
        command: takes `code`, a `CodeTarget`.

    Returns:
        The command.
    """

    @functools.wraps(command)
    def with_code(
        *arguments: Any,
        module_name: str | None,
        python_file: Path | None,
        attribute: str | None,
        working_directory: Path | None,
        **options: Any,
    ) -> Any:
        code = CodeTarget(module_name, python_file, attribute, working_directory)
        return command(*arguments, code=code, **options)

    # The last one stands first in the help.
    for option in (
        click.option(
            "-d",
            "--working-directory",
            type=click.Path(file_okay=False, path_type=Path),
            help="Where imports of the definitions start.",
        ),
        click.option("-a", "--attribute", help="The name of the definitions in there."),
        click.option(
            "-f",
            "--python-file",
            type=click.Path(dir_okay=False, path_type=Path),
            help="The file that holds the definitions.",
        ),
        click.option("-m", "--module-name", help="The module that holds the definitions."),
    ):
        with_code = option(with_code)
    return with_code
