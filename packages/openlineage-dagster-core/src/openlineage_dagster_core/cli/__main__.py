"""Runs the command line as `python -m openlineage_dagster_core.cli`, without the script."""

from openlineage_dagster_core.cli.main import main

# Worker processes of a replay import this module as well.
if __name__ == "__main__":
    main()
