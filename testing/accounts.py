"""Processes of an account that has no name and may read little; needs root on Linux.

The interpreter of the tests may be in a folder that only root can enter, such as root's home. So
the process gets a mount namespace where that folder holds nothing but the interpreter.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

UID = 12345
"""Of an account that no system has a name for."""

PLACE = "/mnt"
"""A folder that every Linux has; in the namespace of the process the interpreter goes there."""

_SCRIPT = """
set -e
closed=$1 interpreter=$2 place=$3 uid=$4 root=$5
shift 5
if [ -n "$closed" ]; then
    mount --bind "$interpreter" "$place"
    mount -t tmpfs -o mode=0755 none "$closed"
    mkdir -p "$interpreter"
    mount --bind "$place" "$interpreter"
fi
if [ "$root" = read-only ]; then
    # A place for temporary files may be a file system of its own.
    for each in / /tmp /var/tmp; do
        if mountpoint -q "$each"; then mount -o remount,bind,ro "$each"; fi
    done
fi
exec setpriv --reuid="$uid" --regid="$uid" --clear-groups --inh-caps=-all "$@"
"""


def as_account(*command: str, root: str = "writable") -> list[str]:
    """Make the command that runs a program as the account.

    Args:
        command: the program and its arguments.
        root: `read-only` for a root file system that cannot be written, temporary files included.

    Returns:
        Program and arguments, for root.
    """
    interpreter = Path(sys.base_prefix).resolve()
    closed = [each for each in interpreter.parents if not _is_open(each)]
    where = [str(closed[-1]) if closed else "", str(interpreter), PLACE, str(UID), root]
    return ["unshare", "--mount", "sh", "-c", _SCRIPT, "account", *where, *command]


def _is_open(folder: Path) -> bool:
    return bool(folder.stat().st_mode & stat.S_IXOTH)


def skip_without_accounts() -> None:
    """Skip the test, visibly, where no process can be started as another account."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux can be another account")
    if not all(shutil.which(program) for program in ("unshare", "setpriv")):
        pytest.skip("another account needs unshare and setpriv")
    done = subprocess.run(
        as_account(sys.executable, "-c", "import dagster"),
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    if done.returncode:
        pytest.skip(f"another account cannot use this Python: {done.stderr[-300:]}")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any account may enter; pytest's own are for one account only."""
    skip_without_accounts()
    with tempfile.TemporaryDirectory(prefix="open-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
