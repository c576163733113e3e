"""Many processes fill one outbox while one empties it: nothing is lost, and it stays small."""

import json
import multiprocessing
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from contending_processes import PADDING, append_as_a_run_worker_does, ship
from openlineage_dagster_core.delivery.outbox import Outbox

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

WRITERS = 8
RECORDS = 10_000
FEW_RECORDS = 100

ROOM_BYTES = 40_000_000
"""For what does not grow with the number of records; together they are twice as large."""


def fill_and_ship(directory: Path, records: int) -> tuple[Path, int]:
    """Let eight processes append and one ship.

    Returns:
        The file of events and the most memory that the shipping process has had, in bytes.
    """
    spawn = multiprocessing.get_context("spawn")
    begin, is_filled = spawn.Event(), spawn.Event()
    events = directory.with_suffix(".jsonl")
    reports = []
    writers = []
    for number in range(WRITERS):
        reader, writer_end = spawn.Pipe(duplex=False)
        reports.append(reader)
        writers.append(
            spawn.Process(
                target=append_as_a_run_worker_does,
                args=(directory, f"run-{number}", records, begin, writer_end),
            )
        )
    peak, shipper_end = spawn.Pipe(duplex=False)
    shipper = spawn.Process(target=ship, args=(directory, events, is_filled, shipper_end))
    processes = [shipper, *writers]
    try:
        for process in processes:
            process.start()
        begin.set()
        for process in writers:
            process.join(150)
            assert process.exitcode == 0
        is_filled.set()
        shipper.join(150)
        assert shipper.exitcode == 0
        given_up = sum(report.recv() for report in reports)
        print(f"{given_up} of {WRITERS * records} appends gave up")  # noqa: T201
        return events, peak.recv()
    finally:
        for process in processes:
            if process.is_alive():
                process.kill()
            if process.pid is not None:
                process.join()
            process.close()


def test_eight_processes_lose_nothing_keep_each_order_and_the_memory_stays_bounded(
    tmp_path: Path,
) -> None:
    _, small = fill_and_ship(tmp_path / "few", FEW_RECORDS)
    events, large = fill_and_ship(tmp_path / "many", RECORDS)
    arrived: dict[str, list[int]] = defaultdict(list)
    with events.open() as lines:
        for line in lines:
            run, _, number = json.loads(line)["job"]["name"].partition(".")
            arrived[run].append(int(number))
    assert arrived.keys() == {f"run-{number}" for number in range(WRITERS)}
    for run, numbers in arrived.items():
        assert numbers == list(range(RECORDS)), run
    outbox = Outbox(tmp_path / "many")
    assert (outbox.depth(), outbox.parked(), outbox.gaps()) == (0, [], [])
    outbox.close()
    assert WRITERS * RECORDS * len(PADDING) > 1.5 * ROOM_BYTES, "too few to tell"
    assert large < small + ROOM_BYTES
    print(f"peak: {small / 1e6:.0f} MB for few, {large / 1e6:.0f} MB for many")  # noqa: T201
