"""Runs Maven, which fetches what the tests need of Java."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest


def run(arguments: Sequence[str], folder: Path, missing: str) -> None:
    """Run Maven in a folder; skip the test where Maven is missing or fails.

    Args:
        arguments: after `mvn`.
        folder: the working directory.
        missing: what the test needs, for the reason of the skip.
    """
    maven = shutil.which("mvn")
    if maven is None:
        pytest.skip(missing)
    outcome = subprocess.run(
        [maven, "-q", "-B", *arguments],
        cwd=folder,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if outcome.returncode:
        reason = next((line for line in outcome.stdout.splitlines() if "ERROR" in line), "")
        pytest.skip(f"{missing}; Maven could not fetch it: {reason[:200]}")
