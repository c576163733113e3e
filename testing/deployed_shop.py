"""The shop with steps in forked processes, which start much faster than new interpreters."""

import dagster as dg

from shop import definitions, with_tenants

_FORKED = dg.Definitions(
    executor=dg.multiprocess_executor.configured(
        {"start_method": {"forkserver": {"preload_modules": ["deployed_shop"]}}}
    )
)

storage = dg.Definitions.merge(definitions.defs, _FORKED)
sensor = dg.Definitions.merge(with_tenants.defs, _FORKED)
