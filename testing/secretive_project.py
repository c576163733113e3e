"""An asset whose events hold a secret wherever a user can put one, and ways to get it wrong."""

from __future__ import annotations

import dagster as dg

SECRET = "hunter2-x7Qz"  # noqa: S105 -- of nothing
"""Must be in no log."""


@dg.asset(metadata={"made_with": SECRET}, description=f"Uses {SECRET}.")
def well_formed() -> dg.MaterializeResult[None]:
    """Say the secret in all that a materialization can say."""
    return dg.MaterializeResult(
        metadata={"password": SECRET, "query": dg.MetadataValue.md(f"SELECT '{SECRET}'")},
        tags={"owner": SECRET},
        data_version=dg.DataVersion(SECRET),
    )


@dg.asset
def wrong_facet() -> dg.MaterializeResult[None]:
    """Give a facet that cannot be sent."""
    facets = {"login": {"_producer": SECRET, "token": SECRET}}
    return dg.MaterializeResult(metadata={"openlineage/run_facets": facets})


@dg.asset
def wrong_dataset() -> dg.MaterializeResult[None]:
    """Give inputs that are none."""
    return dg.MaterializeResult(metadata={"openlineage/inputs": [{"password": SECRET}]})


@dg.asset
def not_a_number() -> dg.MaterializeResult[None]:
    """Give a facet that JSON cannot hold."""
    facets = {"login": {"password": SECRET, "age": float("nan")}}
    return dg.MaterializeResult(metadata={"openlineage/dataset_facets": facets})


@dg.asset
def not_text() -> dg.MaterializeResult[None]:
    """Give half a character, which no encoding can write."""
    return dg.MaterializeResult(metadata={"password": f"{SECRET}\ud800"})


def raises(subject: object) -> None:
    """Fail as a user's function may that is given an event.

    Args:
        subject: the event.

    Raises:
        ValueError: always.
    """
    msg = f"cannot use {SECRET} of {subject}"
    raise ValueError(msg)


MISTAKEN_ASSETS = ("wrong_facet", "wrong_dataset", "not_a_number")

ASSETS = (well_formed, wrong_facet, wrong_dataset, not_a_number, not_text)

DEFINITIONS = dg.Definitions(
    assets=ASSETS,
    jobs=[dg.define_asset_job(asset.key.to_user_string(), selection=[asset]) for asset in ASSETS],
)
