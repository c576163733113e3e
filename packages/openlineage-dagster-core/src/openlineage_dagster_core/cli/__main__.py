"""`python -m openlineage_dagster_core.cli`: where the script is not on the path."""

from openlineage_dagster_core.cli.main import main

# The processes of a replay import it as well.
if __name__ == "__main__":
    main()
