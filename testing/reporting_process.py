"""A process that reports materializations of no run, one for each line it is told."""

from __future__ import annotations

import sys

import dagster as dg


def main() -> None:
    """Report what standard input names, and answer each line when it is stored."""
    with dg.DagsterInstance.get() as instance:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        for line in sys.stdin:
            instance.report_runless_asset_event(dg.AssetMaterialization(line.strip()))
            sys.stdout.write(line)
            sys.stdout.flush()


if __name__ == "__main__":
    main()
