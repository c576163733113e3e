"""The command `completion`: prints what a shell needs to complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command(
    epilog="""\b
Examples:
  eval "$(openlineage-dagster completion bash)"     in ~/.bashrc
  eval "$(openlineage-dagster completion zsh)"      in ~/.zshrc
  openlineage-dagster completion fish | source      in ~/.config/fish/config.fish
"""
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the shell's completion script."""
    root = context.find_root()
    name = root.info_name or "openlineage-dagster"
    found = get_completion_class(shell)
    assert found is not None  # noqa: S101 -- one of SHELLS
    variable = f"_{name.replace('-', '_').upper()}_COMPLETE"
    click.echo(found(root.command, {}, name, variable).source())
