"""The event log that is replayed: runs of one job, as a log that was stored gives them back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import dagster as dg
from dagster import deserialize_value, serialize_value

from openlineage_dagster_core.facts.definitions import DefinedAssets, DefinedJobs
from openlineage_dagster_core.facts.event_log import run_facts
from openlineage_dagster_core.facts.model import Definitions, RunFacts
from openlineage_dagster_core.families import FOLLOWED

JOB = "nightly"
FIRST_DAY = datetime(2026, 1, 5, tzinfo=timezone.utc)
PARTITIONS = dg.DailyPartitionsDefinition(start_date="2026-01-01")
SECONDS_BETWEEN_ENTRIES = 0.25

_RUN_ID = "0199a1b2-0000-7000-8000-{:012x}"
_MARK = "x0000"
"""Ends the name of every column; another mark makes other columns of them all."""

_DATA_VERSION = re.compile(r"\b[0-9a-f]{64}\b")
_POINTER = re.compile(r'(dagster/input_event_pointer/[^"]*": ?")(\d+)')
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_WORDS = ("order", "customer", "amount", "currency", "country", "channel", "updated_at", "status")
_TYPES = ("string", "bigint", "decimal(18, 4)", "timestamp", "boolean", "date", "double")
_UPSTREAM = dg.AssetKey(["raw", "events"])

Made = tuple[dg.AssetKey, int]
"""An asset that is made, and how many columns it has."""


class EventLog:
    """The runs of a job that makes assets of certain widths.

    The job is executed once, here; the other runs are that one with other ids, days, times and
    versions.

    Args:
        widths: how many columns the assets have.
        assets_per_width: how many assets of each width there are.
    """

    def __init__(self, widths: Sequence[int], assets_per_width: int) -> None:
        self._widths = len(widths)
        self._made = [
            (dg.AssetKey(["shop", "mart", f"orders_{number:02}"]), widths[number % len(widths)])
            for number in range(assets_per_width * len(widths))
        ]
        with dg.DagsterInstance.ephemeral() as instance:
            job = self.repository().get_job(JOB)
            job.execute_in_process(
                instance=instance,
                run_id=_RUN_ID.format(0),
                partition_key=f"{FIRST_DAY:%Y-%m-%d}",
                run_config=_QUIET,
            )
            run = run_facts(instance.get_run_records()[0].dagster_run, FIRST_DAY)
            self._facts = replace(
                run,
                config={},
                code_location="shop",
                repository="__repository__",
                tags={**run.tags, "dagster/schedule_name": "every_night", "team": "data"},
            )
            # What both mechanisms read of a log: the rest is never asked for.
            self._texts = [
                serialize_value(record.event_log_entry)
                for record in instance.get_records_for_run(_RUN_ID.format(0)).records
                if record.event_log_entry.dagster_event_type in FOLLOWED
            ]

    def definitions(self) -> Definitions:
        """Read the definitions as a sensor has them.

        Returns:
            New ones, of assets that are newly defined: nothing remembers them.
        """
        repository = self.repository()
        return Definitions(DefinedAssets(repository.asset_graph), DefinedJobs(repository))

    def run(self, number: int, mark: int = 0) -> tuple[RunFacts, list[dg.EventLogEntry]]:
        """Read a run.

        Args:
            number: which one.
            mark: another mark, other columns: in schemas and in column lineage.

        Returns:
            The run and its log; no object in it is part of another run, or of another event.
        """
        day = FIRST_DAY + timedelta(days=number)
        run_id = _RUN_ID.format(number)
        facts = replace(
            self._facts,
            run_id=run_id,
            created_at=day + timedelta(days=1, hours=3),
            tags={**self._facts.tags, "dagster/partition": f"{day:%Y-%m-%d}"},
        )
        begin = facts.created_at.timestamp()
        entries = []
        for position, text in enumerate(self._texts, start=1):
            renamed = (
                text.replace(_RUN_ID.format(0), run_id)
                .replace(f"{FIRST_DAY:%Y-%m-%d}", f"{day:%Y-%m-%d}")
                .replace(_MARK, f"x{mark:04x}")
            )
            renamed = _DATA_VERSION.sub(lambda found: _turned(found[0], number), renamed)
            renamed = _POINTER.sub(
                lambda found: found[1] + str(int(found[2]) + 1000 * number), renamed
            )
            entry = deserialize_value(renamed, dg.EventLogEntry)
            entries.append(entry._replace(timestamp=begin + position * SECONDS_BETWEEN_ENTRIES))
        return facts, entries

    def repository(self) -> dg.RepositoryDefinition:
        """Define the assets and the job.

        Returns:
            A new repository: no cache knows its definitions.
        """
        assets = [
            # Of each width a third has checks, a third partitions.
            _asset(number, width, list(_parents(number, self._made)), number // self._widths % 3)
            for number, (_, width) in enumerate(self._made)
        ]
        return dg.Definitions(
            assets=[dg.AssetSpec(_UPSTREAM, description="What the tills send."), *assets],
            jobs=[
                dg.define_asset_job(
                    JOB, selection=dg.AssetSelection.assets(*(key for key, _ in self._made))
                )
            ],
        ).get_repository_def()


def _turned(version: str, by: int) -> str:
    """Make another data version of one: the same for the same, wherever it stands."""
    by %= len(version)
    return version[by:] + version[:by]


def _parents(number: int, made: Sequence[Made]) -> Iterator[Made]:
    """Choose one to four assets that come before an asset."""
    if number == 0:
        yield _UPSTREAM, made[0][1]
        return
    chosen = {((step + 1) * 17 + number // 2) % number for step in range(1 + number % 4)}
    yield from (made[position] for position in sorted(chosen))


def _asset(number: int, width: int, parents: Sequence[Made], third: int) -> dg.AssetsDefinition:
    is_checked, is_partitioned, has_lineage = third == 0, third == 1, number % 2 == 0
    name = f"orders_{number:02}"
    key = dg.AssetKey(["shop", "mart", name])
    checks = [dg.AssetCheckSpec(check, asset=key) for check in ("is_unique", "is_fresh")]

    @dg.asset(
        key=key,
        deps=[parent for parent, _ in parents],
        description=f"Orders as **{name}** counts them.\n\nOne row an order; made every night.",
        owners=["team:data", f"owner{number % 5}@example.com"],
        tags={"domain": "sales", "tier": str(number % 3)},
        kinds={"snowflake", "dbt"},
        group_name=f"mart_{number % 4}",
        code_version=str(number) if number % 2 else None,
        metadata={
            "dagster/column_schema": _schema(name, width),
            "dagster/table_name": f"shop.mart.{name}",
        },
        partitions_def=PARTITIONS if is_partitioned else None,
        check_specs=checks if is_checked else None,
    )
    def made() -> Iterator[Any]:
        metadata: dict[str, Any] = {
            # As the database tells it, not as the definition does.
            "dagster/column_schema": dg.MetadataValue.table_schema(
                _schema(name, width, is_in_capitals=True)
            ),
            "dagster/row_count": dg.MetadataValue.int(1000 + number),
        }
        if has_lineage:
            lineage = _column_lineage(width, parents)
            metadata["dagster/column_lineage"] = dg.MetadataValue.column_lineage(lineage)
        results = [
            dg.AssetCheckResult(passed=True, check_name=check.name, metadata={"rows": number})
            for check in (checks if is_checked else ())
        ]
        yield dg.MaterializeResult(metadata=metadata, check_results=results)

    return made


def _schema(table: str, width: int, *, is_in_capitals: bool = False) -> dg.TableSchema:
    return dg.TableSchema(
        [
            dg.TableColumn(
                name=_column(number),
                type=kind.upper() if is_in_capitals else kind,
                description=f"The {_WORDS[number % len(_WORDS)]} in {table}, as the till sent it; "
                f"empty before {2000 + number % 20}.",
            )
            for number in range(width)
            for kind in [_TYPES[number % len(_TYPES)]]
        ]
    )


def _column_lineage(width: int, parents: Sequence[Made]) -> dg.TableColumnLineage:
    return dg.TableColumnLineage(
        {
            _column(column): [
                dg.TableColumnDep(parent, _column((column * 3 + step) % parent_width))
                for step in range(1 + column % 3)
                for parent, parent_width in [parents[(column + step) % len(parents)]]
            ]
            for column in range(width)
        }
    )


def _column(number: int) -> str:
    return f"{_WORDS[number % len(_WORDS)]}_{number:03}_{_MARK}"
