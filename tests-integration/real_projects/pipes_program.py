"""What `with_pipes.py` starts: it knows Pipes, and nothing else of Dagster."""

import sys

from dagster_pipes import open_dagster_pipes

BREAD = {
    "dagster/column_schema": {
        "type": "table_schema",
        "raw_value": {
            "columns": [{"name": "loaf", "type": "int"}, {"name": "weight", "type": "float"}]
        },
    },
    "dagster/row_count": {"type": "int", "raw_value": 12},
}


def bake() -> None:
    with open_dagster_pipes() as pipes:
        pipes.report_asset_materialization(asset_key="dough", metadata={"kilograms": 3})
        if sys.argv[1] == "breaks":
            msg = "the oven is cold"
            raise RuntimeError(msg)
        pipes.report_asset_materialization(asset_key="bread", metadata=BREAD)
        pipes.report_asset_check(
            check_name="is_baked", passed=True, severity="WARN", asset_key="bread"
        )


if __name__ == "__main__":
    bake()
