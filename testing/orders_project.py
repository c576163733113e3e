"""A project of three assets, one of which fails, for the tests of both mechanisms."""

import dagster as dg


@dg.asset(key=["raw", "orders"], description="Orders of the day.")
def orders() -> None:
    """Succeed."""


@dg.asset(deps=[orders])
def revenue() -> None:
    """Succeed after it."""


@dg.asset(deps=[orders])
def fails() -> None:
    """Fail at once."""
    msg = "at once"
    raise ValueError(msg)


DEFINITIONS = dg.Definitions(
    assets=[orders, revenue, fails],
    jobs=[
        dg.define_asset_job("nightly", selection=[orders, revenue]),
        dg.define_asset_job("doomed", selection=[fails]),
        dg.define_asset_job("tenant", selection=[orders], tags={"tenant": "acme"}),
    ],
)

NIGHTLY_JOBS = {"nightly", "nightly.raw__orders", "nightly.revenue", "raw/orders", "revenue"}
"""The OpenLineage jobs of a run of `nightly`."""
