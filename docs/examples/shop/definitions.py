"""The shop's definitions; they know nothing of OpenLineage (that is Mechanism A)."""

import dagster as dg

from shop import assets


@dg.op
def pick_recipients() -> list[str]:
    """Choose whom to write to."""
    return ["ada@example.org"]


@dg.op
def send(recipients: list[str]) -> None:
    """Send the letters."""


@dg.job
def newsletter() -> None:
    """A job of plain ops, without assets."""
    send(pick_recipients())


nightly = dg.define_asset_job(
    "nightly",
    selection=dg.AssetSelection.all() - dg.AssetSelection.groups("external"),
)
watch_suppliers = dg.define_asset_job("watch_suppliers", selection=["supplier_prices"])
every_minute = dg.ScheduleDefinition(job=watch_suppliers, cron_schedule="* * * * *")

defs = dg.Definitions(
    assets=[
        assets.supplier_prices,
        assets.warehouse_stock,
        assets.raw_customers,
        assets.raw_products,
        assets.raw_orders,
        assets.staging,
        assets.revenue,
        assets.forecast,
        assets.report,
    ],
    asset_checks=[assets.emails_are_unique],
    jobs=[newsletter, nightly, watch_suppliers],
    schedules=[every_minute],
)
