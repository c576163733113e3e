"""A job of fifty small assets in a few chains, each step in a process of its own."""

from __future__ import annotations

import dagster as dg

CHAINS = 10
LENGTH = 5
JOB = "all"


def _asset(chain: int, position: int) -> dg.AssetsDefinition:
    name = f"asset_{chain}_{position}"

    @dg.asset(
        key=["made", name],
        deps=[dg.AssetKey(["made", f"asset_{chain}_{position - 1}"])] if position else [],
        description=f"Number {position} of chain {chain}.",
        check_specs=[dg.AssetCheckSpec("has_rows", asset=dg.AssetKey(["made", name]))],
    )
    def made() -> dg.MaterializeResult:  # type: ignore[type-arg]
        passed = dg.AssetCheckResult(passed=True, check_name="has_rows")
        return dg.MaterializeResult(
            metadata={"dagster/row_count": position}, check_results=[passed]
        )

    return made


# Not forked from a process with threads, and much faster to start than a new interpreter.
_STARTED = {"forkserver": {"preload_modules": ["fifty_assets"]}}

DEFINITIONS = dg.Definitions(
    assets=[_asset(chain, position) for chain in range(CHAINS) for position in range(LENGTH)],
    jobs=[dg.define_asset_job(JOB)],
    executor=dg.multiprocess_executor.configured({"max_concurrent": 3, "start_method": _STARTED}),
)
