"""The group of commands, and the boundary where their errors become messages."""

from __future__ import annotations

import sys
import traceback

import click

from openlineage_dagster_core.cli.failure import FAILED, INTERRUPTED, cause_of
from openlineage_dagster_core.cli.terminal_text import echo
from openlineage_dagster_core.version import __version__

COMMAND = "openlineage-dagster"


@click.group(
    COMMAND,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Shell completion: openlineage-dagster completion --help",
)
@click.version_option(__version__, prog_name=COMMAND)
@click.option(
    "--traceback", "shows_traceback", is_flag=True, help="Print the traceback of an error."
)
@click.pass_context
def group(context: click.Context, shows_traceback: bool) -> None:
    """OpenLineage for Dagster: check a deployment, deliver its lineage, show it, send it again."""
    context.obj = shows_traceback


def main() -> None:
    """Run the command line and exit with the command's status."""
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
        # The reader, such as `head`, has closed the pipe. Python would report it again at exit.
        sys.stdout = sys.stderr
        return FAILED
    except Exception as error:
        # The boundary: users get a message, and a traceback on request.
        echo(
            f"Error: {cause_of(error)}. This is a defect of {COMMAND} {__version__}: please report "
            f"it with the output of `{COMMAND} --traceback …`.",
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
    from openlineage_dagster_core.cli.deliver import deliver
    from openlineage_dagster_core.cli.doctor.command import doctor
    from openlineage_dagster_core.cli.graph.command import graph
    from openlineage_dagster_core.cli.parked import parked
    from openlineage_dagster_core.cli.replay import replay
    from openlineage_dagster_core.cli.show import show
    from openlineage_dagster_core.cli.status import status

    for command in (doctor, status, deliver, parked, replay, show, graph, completion):
        group.add_command(command)


_add_commands()
