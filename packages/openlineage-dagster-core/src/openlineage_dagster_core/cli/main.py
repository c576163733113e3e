"""The group of commands, and the one place where their errors end."""

from __future__ import annotations

import sys
import traceback

import click

from openlineage_dagster_core.cli.failure import FAILED, INTERRUPTED, cause_of
from openlineage_dagster_core.version import __version__

COMMAND = "openlineage-dagster"


@click.group(
    COMMAND,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Shell completion: openlineage-dagster completion --help",
)
@click.version_option(__version__, prog_name=COMMAND)
@click.option("--traceback", "shows_traceback", is_flag=True, help="Show where an error came from.")
@click.pass_context
def group(context: click.Context, shows_traceback: bool) -> None:
    """OpenLineage for Dagster: check a deployment, see what it sends, and send it again."""
    context.obj = shows_traceback


def main() -> None:
    """Run a command, and exit with its status."""
    sys.exit(status_of(sys.argv[1:]))


def status_of(arguments: list[str]) -> int:
    """Run a command.

    Args:
        arguments: without the program's name.

    Returns:
        The exit status.
    """
    try:
        status = group.main(arguments, prog_name=COMMAND, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        _show_traceback(arguments)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever reads has seen enough, as `head` does. Python would say so once more at its end.
        sys.stdout = sys.stderr
        return FAILED
    except Exception as error:
        # The boundary: a traceback is no answer to a user.
        click.echo(
            f"Error: {cause_of(error)}. This is a defect of {COMMAND} {__version__}: please report "
            f"it with what `{COMMAND} --traceback …` shows.",
            err=True,
        )
        _show_traceback(arguments)
        return FAILED
    return status if isinstance(status, int) else 0


def _show_traceback(arguments: list[str]) -> None:
    if "--traceback" in arguments:
        traceback.print_exc()


def _add_commands() -> None:
    from openlineage_dagster_core.cli.completion import completion
    from openlineage_dagster_core.cli.doctor.command import doctor
    from openlineage_dagster_core.cli.graph.command import graph
    from openlineage_dagster_core.cli.outbox import outbox
    from openlineage_dagster_core.cli.replay import replay
    from openlineage_dagster_core.cli.show import show

    for command in (doctor, replay, outbox, show, graph, completion):
        group.add_command(command)


_add_commands()
