"""The group of commands, and the boundary where errors become messages."""

import sys
import traceback

import click
from click.shell_completion import get_completion_class

from openlineage_dagster_core.cli.deliver import deliver
from openlineage_dagster_core.cli.doctor.command import doctor
from openlineage_dagster_core.cli.graph.command import graph
from openlineage_dagster_core.cli.logs import warnings_shown
from openlineage_dagster_core.cli.parked import parked
from openlineage_dagster_core.cli.replay import replay
from openlineage_dagster_core.cli.show import show
from openlineage_dagster_core.cli.status import status
from openlineage_dagster_core.cli.terminal import FAILED, INTERRUPTED, cause_of, report
from openlineage_dagster_core.version import __version__

COMMAND = "openlineage-dagster"


@click.command(
    epilog="""\b
Examples:
  eval "$(openlineage-dagster completion bash)"     in ~/.bashrc
  eval "$(openlineage-dagster completion zsh)"      in ~/.zshrc
  openlineage-dagster completion fish | source      in ~/.config/fish/config.fish
"""
)
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> None:
    """Print the shell's completion script."""
    found = get_completion_class(shell)
    assert found is not None  # noqa: S101 -- one of the choices
    click.echo(found(group, {}, COMMAND, "_OPENLINEAGE_DAGSTER_COMPLETE").source())


@click.group(
    COMMAND,
    commands=[doctor, status, deliver, parked, replay, show, graph, completion],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Shell completion: openlineage-dagster completion --help",
)
@click.version_option(__version__, prog_name=COMMAND)
@click.option("--traceback", is_flag=True, expose_value=False, help="Print an error's traceback.")
def group() -> None:
    """OpenLineage for Dagster: check a deployment, deliver its lineage, show it, send it again."""


def main() -> None:
    """Run the command line and exit with the command's status."""
    sys.exit(status_of(sys.argv[1:]))


def status_of(arguments: list[str]) -> int:
    """Run a command (arguments without the program's name); return the exit status."""
    try:
        with warnings_shown():
            returned = group.main(arguments, prog_name=COMMAND, standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        report("Stopped.")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader, such as `head`, has closed the pipe. Python would report that again at exit.
        sys.stdout = sys.stderr
        return FAILED
    except Exception as error:
        # The boundary: users get a message, and a traceback with --traceback.
        if isinstance(error, click.ClickException):
            error.show()
        else:
            report(
                f"Error: {cause_of(error)}. This is a defect of {COMMAND} {__version__}: please "
                f"report it with the output of `{COMMAND} --traceback …`."
            )
        if "--traceback" in arguments:
            for line in "".join(traceback.format_exception(error)).rstrip("\n").split("\n"):
                report(line)
        return error.exit_code if isinstance(error, click.ClickException) else FAILED
    return returned if isinstance(returned, int) else 0
