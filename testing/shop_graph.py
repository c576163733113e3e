"""The lineage of the example project as it should be, written down: what every backend must show.

It is not made from the shop's definitions, so that a mistake in reading them is found.
"""

from __future__ import annotations

from collections import Counter

from lineage_graph import LineageGraph, Name, together

SHOP = "shop"

READS = {
    "raw/products": ["erp/stock", "supplier_prices"],
    "raw/customers__checks": ["raw/customers"],
    "staging/sales": ["raw/orders", "raw/products"],
    "staging/refunds": ["raw/orders"],
    "staging/balance": ["staging/sales", "staging/refunds"],
    "marts/revenue": ["raw/customers", "staging/balance"],
    "marts/revenue__checks": ["marts/revenue"],
    "marts/forecast": ["marts/revenue"],
    "marts/report": ["marts/forecast"],
}
"""The datasets that a job of the nightly run reads."""

NIGHTLY = {
    "nightly": "FAIL",
    "nightly.raw__customers": "COMPLETE",
    "nightly.raw__customers_emails_are_unique": "COMPLETE",
    "nightly.raw__orders": "COMPLETE",
    "nightly.raw__products": "COMPLETE",
    "nightly.staging": "COMPLETE",
    "nightly.marts__revenue": "COMPLETE",
    "nightly.marts__forecast": "FAIL",
    "raw/customers": "COMPLETE",
    "raw/customers__checks": "COMPLETE",
    "raw/orders": "COMPLETE",
    "raw/products": "COMPLETE",
    "staging/sales": "COMPLETE",
    "staging/refunds": "COMPLETE",
    "staging/balance": "COMPLETE",
    "marts/revenue": "COMPLETE",
    "marts/revenue__checks": "COMPLETE",
    "marts/forecast": "FAIL",
    "marts/report": "FAIL",
}
"""How each job of the nightly run ends; `marts/report` never starts, and fails with the run."""

NEWSLETTER = ("newsletter", "newsletter.pick_recipients", "newsletter.send")
WATCH_SUPPLIERS = ("watch_suppliers", "watch_suppliers.supplier_prices")

BACKFILL = (
    "__ASSET_JOB",
    "__ASSET_JOB.raw__orders",
    "__ASSET_JOB.staging",
    "raw/orders",
    "staging/sales",
    "staging/refunds",
    "staging/balance",
)
"""The jobs of one day of a backfill; Dagster calls the job of runs that are of none so."""

COLUMNS = {
    ("marts/revenue", "customer"): ("raw/customers", "name"),
    ("marts/revenue", "amount"): ("staging/balance", "amount"),
}
"""What a column is made of."""

ASSERTIONS = {
    "raw/customers": {"emails_are_unique": False},
    "marts/revenue": {"is_positive": True, "is_complete": False},
}
"""The checks of a dataset, and whether they pass."""


def nightly(namespace: str = SHOP) -> LineageGraph:
    """Tell the graph of one run of the job `nightly`, which makes every asset.

    Args:
        namespace: of its jobs and datasets.

    Returns:
        The graph.
    """
    writes = [job for job in NIGHTLY if "/" in job and not job.endswith("__checks")]
    return LineageGraph(
        "nightly",
        reads=frozenset(
            ((namespace, dataset), (namespace, job))
            for job, datasets in READS.items()
            for dataset in datasets
        ),
        writes=frozenset(((namespace, name), (namespace, name)) for name in writes),
        runs={(namespace, job): Counter([state]) for job, state in NIGHTLY.items()},
        without_duration=frozenset(),
        columns=frozenset(
            (((namespace, source), column), ((namespace, target), made))
            for (target, made), (source, column) in COLUMNS.items()
        ),
        assertions={(namespace, dataset): made for dataset, made in ASSERTIONS.items()},
    )


def newsletter(namespace: str = SHOP) -> LineageGraph:
    """Tell the graph of one run of the job `newsletter`, which knows no assets.

    Args:
        namespace: of its jobs.

    Returns:
        The graph.
    """
    return _without_datasets("newsletter", [(namespace, job) for job in NEWSLETTER])


def watch_suppliers(namespace: str = SHOP) -> LineageGraph:
    """Tell the graph of one run of the job `watch_suppliers`, which looks at a dataset.

    Args:
        namespace: of its jobs.

    Returns:
        The graph; looking makes no edge.
    """
    return _without_datasets("watch_suppliers", [(namespace, job) for job in WATCH_SUPPLIERS])


def _without_datasets(system: str, jobs: list[Name]) -> LineageGraph:
    return together(
        system, [LineageGraph(system, runs={job: Counter(["COMPLETE"]) for job in jobs})]
    )


def demo() -> LineageGraph:
    """Tell what the demo gives: each of the shop's jobs once.

    Returns:
        The graph.
    """
    return together("the demo", [nightly(), newsletter(), watch_suppliers()])


def everything(namespace: str) -> LineageGraph:
    """Tell what a deployment gives where everything is launched (`shop_deployment.py`).

    Args:
        namespace: of what is of no tenant; that of tenant `acme` is below it.

    Returns:
        The graph: two nightly runs, one for each, and the rest for none. A backfill of two days
        makes assets that the nightly run makes too, so that it adds runs and no edges.
    """
    day = LineageGraph("a day", runs={(namespace, job): Counter(["COMPLETE"]) for job in BACKFILL})
    return together(
        "the deployed shop",
        [
            nightly(f"{namespace}/acme"),
            nightly(namespace),
            newsletter(namespace),
            watch_suppliers(namespace),
            day,
            day,
        ],
    )
