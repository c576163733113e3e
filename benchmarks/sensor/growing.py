"""What a tick costs for so many new events, at the end of a short log and of a long one."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.backends import Behaviour, running
from benchmarks.deployments import Deployment, Deployments, Subject
from benchmarks.sensor.ticks import Sensor, Setting, Tick, evaluating, predecessors_cursor
from benchmarks.stored_log import StoredLog


@dataclass
class Growth:
    """What one sensor needed for additions of one size to one log.

    Args:
        setting: who.
        length: how many events there were in the log at first.
        added: how many were added each time.
        ticks: one for each addition.
    """

    setting: Setting
    length: int
    added: int
    ticks: list[Tick] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Of a tick, the median."""
        return median(tick.seconds for tick in self.ticks)

    @property
    def queries(self) -> float:
        """Of a tick, the median."""
        return median(tick.queries for tick in self.ticks)


@dataclass
class Place:
    """A log, and where the sensors are that have read it.

    Args:
        deployment: has the log.
        log: the log.
        cursor: of ours.
    """

    deployment: Deployment
    log: StoredLog
    cursor: str | None


class Watch:
    """The sensors at the end of one log.

    Args:
        place: the log.
        sensors: by setting.
    """

    def __init__(self, place: Place, sensors: Mapping[Setting, Sensor]) -> None:
        self._place = place
        self._sensors = sensors
        self._length = place.log.events
        self.found: dict[tuple[Setting, int], Growth] = {}

    def add(self, runs: int, settings: Sequence[Setting]) -> None:
        """Let the log grow, and evaluate sensors once.

        Args:
            runs: how many are added.
            settings: of the sensors; ours must be among them, or it would fall behind.
        """
        place = self._place
        begins_after = place.log.newest()
        added = place.log.add(runs)
        for setting in settings:
            is_ours = setting.subject is Subject.OURS
            cursor = place.cursor if is_ours else predecessors_cursor(begins_after)
            tick = self._sensors[setting].tick(cursor)
            if is_ours:
                place.cursor = tick.cursor
            growth = Growth(setting, self._length, added)
            self.found.setdefault((setting, runs), growth).ticks.append(tick)


def grow(
    deployments: Deployments,
    places: Sequence[Place],
    additions: Mapping[int, Sequence[Setting]],
    rounds: int,
) -> list[Growth]:
    """Let logs grow in turn, and evaluate sensors once after each addition.

    Args:
        deployments: know the interpreters.
        places: the logs.
        additions: in runs; and who is evaluated after it, ours among them.
        rounds: how often each is added.

    Returns:
        What was measured.
    """
    with contextlib.ExitStack() as stack:
        watches = []
        for place in places:
            sensors = {}
            for setting in dict.fromkeys(each for group in additions.values() for each in group):
                backend = stack.enter_context(running(Behaviour.FAST))
                sensors[setting] = stack.enter_context(
                    evaluating(deployments, place.deployment, setting, backend)
                )
            watches.append(Watch(place, sensors))
        for _ in range(rounds):
            for runs, settings in additions.items():
                for watch in watches:
                    watch.add(runs, settings)
    return [growth for watch in watches for growth in watch.found.values()]
