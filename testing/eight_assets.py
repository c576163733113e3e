"""A job of eight assets, one of them checked: 36 OpenLineage events, with edges between assets."""

import dagster as dg

EVENTS = 36
"""Two of the run, two of each step, two of each asset and two of the check."""

CHECKED = dg.AssetKey(["raw", "orders"])


@dg.asset(key=CHECKED, check_specs=[dg.AssetCheckSpec("has_rows", asset=CHECKED)])
def orders() -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Be checked at once."""
    passed = dg.AssetCheckResult(check_name="has_rows", passed=True)
    return dg.MaterializeResult(check_results=[passed])


def _asset(path: list[str], *upstream: list[str]) -> dg.AssetsDefinition:
    @dg.asset(key=path, deps=[dg.AssetKey(each) for each in upstream])
    def made() -> None:
        """Succeed."""

    return made


ASSETS = [
    orders,
    _asset(["raw", "customers"]),
    _asset(["raw", "products"]),
    _asset(["staging", "sales"], ["raw", "orders"], ["raw", "products"]),
    _asset(["staging", "people"], ["raw", "customers"]),
    _asset(["marts", "revenue"], ["staging", "sales"]),
    _asset(["marts", "churn"], ["staging", "people"], ["staging", "sales"]),
    _asset(["marts", "report"], ["marts", "churn"]),
]

JOB = "all"
DEFINITIONS = dg.Definitions(
    assets=ASSETS, jobs=[dg.define_asset_job(JOB)], executor=dg.in_process_executor
)
