"""The shop in real deployments, into every backend: each shows the graph that is written down.

By default two deployments, with every option at least once; `--full-matrix` for all combinations.
"""

import contextlib
import itertools
import json
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import every_event_is_valid
import shop_graph
from delivered import as_converted, differences, summary
from lineage import comparable
from lineage_backends import BACKENDS, Backend, Deployed
from lineage_graph import END_STATES, check_graph
from shop.definitions import defs
from shop_deployment import deployed_shop, events_of_the_log, run_everything, wait_until_sent

Json = dict[str, Any]

# The first test of a deployment waits for all of its runs.
pytestmark = pytest.mark.timeout(900)

ALL = "all"
"""One deployment that sends to every backend that is there."""

STREAMS = ("file", "http", "kafka")
"""The backends that tell what they were sent."""

EVENTS = 115
"""Of the two nightly runs 38 each, of the newsletter 6, of the observation 5, of each day 14."""
OPENLINEAGE_RUNS = 57
"""Two events each; one event is a dataset's."""


@dataclass(frozen=True)
class Case:
    """A deployment: by which mechanism, on which storage, and where it sends events."""

    mechanism: str
    storage: str
    backend: str

    def __str__(self) -> str:
        return f"{self.mechanism}-{self.storage}-{self.backend}"

    @property
    def backends(self) -> list[str]:
        return list(BACKENDS) if self.backend == ALL else [self.backend]


COVERING = [Case("storage", "postgres", ALL), Case("sensor", "sqlite", ALL)]
FULL = [
    Case(*each)
    for each in itertools.product(("storage", "sensor"), ("sqlite", "postgres"), (ALL, *BACKENDS))
]


@dataclass(frozen=True)
class Shop:
    """A deployment in which everything has been launched and sent; it is over."""

    namespace: str
    backends: Mapping[str, Backend]
    missing: Mapping[str, str]
    log: list[Json]

    def backend(self, name: str) -> Backend:
        # In one place, which makes it one line in the report.
        if name in self.missing:
            pytest.skip(self.missing[name])
        return self.backends[name]

    def sent_to(self, stream: str) -> list[Json]:
        """Each different event once, in the order of arrival."""
        events = self.backend(stream).events
        assert events is not None
        return list(by_text(events()).values())


def by_text(events: Iterable[Json]) -> dict[str, Json]:
    return {json.dumps(event, sort_keys=True): event for event in events}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    cases = FULL if metafunc.config.getoption("full_matrix") else COVERING
    pairs = [(case, backend) for case in cases for backend in case.backends]
    if "stream" in metafunc.fixturenames:
        streams = [(case, backend) for case, backend in pairs if backend in STREAMS]
        metafunc.parametrize(("case", "stream"), streams, ids=map(named, streams))
    elif "backend" in metafunc.fixturenames:
        metafunc.parametrize(("case", "backend"), pairs, ids=map(named, pairs))


def named(pair: tuple[Case, str]) -> str:
    return "-".join(map(str, pair))


@pytest.fixture(scope="session")
def deploy(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Case], Shop]]:
    """Deploy once, whoever asks; a deployment that failed is not tried again."""
    done: dict[Case, Shop | BaseException] = {}

    def deploy(case: Case) -> Shop:
        if case not in done:
            try:
                folder = tmp_path_factory.mktemp(str(case))
                done[case] = run_shop(case, request, folder, stack)
            except BaseException as error:
                done[case] = error
        outcome = done[case]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    with contextlib.ExitStack() as stack:
        yield deploy


def run_shop(
    case: Case, request: pytest.FixtureRequest, folder: Path, stack: contextlib.ExitStack
) -> Shop:
    # A backend may hold what earlier sessions have sent.
    namespace = f"shop-{uuid.uuid4().hex[:8]}"
    place = Deployed(request, folder, [namespace, f"{namespace}/acme"], stack)
    backends: dict[str, Backend] = {}
    missing: dict[str, str] = {}
    for name in case.backends:
        try:
            backends[name] = BACKENDS[name](place)
        except pytest.skip.Exception as reason:
            missing[name] = str(reason)
    if not backends:
        return Shop(namespace, {}, missing, [])
    transports = {name: dict(backend.transport) for name, backend in backends.items()}
    transport = transports.get(case.backend) or {
        "type": "composite",
        "transports": transports,
        # What one of them does not take is sent to all again; else it would be lost to it.
        "continue_on_failure": False,
    }
    database = request.getfixturevalue("make_database")() if case.storage == "postgres" else None
    with deployed_shop(folder, case.mechanism, database, transport, namespace) as deployment:
        run_everything(deployment)
        wait_until_sent(deployment, case.mechanism)
        log = events_of_the_log(deployment, namespace, defs)
    return Shop(namespace, backends, missing, log)


def test_the_backend_shows_the_graph_that_is_written_down(
    case: Case, backend: str, deploy: Callable[[Case], Shop]
) -> None:
    shop = deploy(case)
    shows = shop.backend(backend)
    expected = shows.shown(shop_graph.everything(shop.namespace))
    check_graph(shows.graph(), expected, shop.log)


def test_every_event_is_valid(case: Case, stream: str, deploy: Callable[[Case], Shop]) -> None:
    for event in deploy(case).sent_to(stream):
        every_event_is_valid.check(event)


def test_what_the_log_gives_is_sent_and_nothing_else(
    case: Case, stream: str, deploy: Callable[[Case], Shop]
) -> None:
    shop = deploy(case)
    sent, log = by_text(map(as_converted, shop.sent_to(stream))), by_text(shop.log)
    missing = summary(log[text] for text in log.keys() - sent.keys())
    unexpected = summary(sent[text] for text in sent.keys() - log.keys())
    assert (missing, unexpected) == ([], [])
    assert len(log) == EVENTS


def test_every_run_starts_once_and_ends_once(
    case: Case, stream: str, deploy: Callable[[Case], Shop]
) -> None:
    types: defaultdict[str, list[str]] = defaultdict(list)
    for event in deploy(case).sent_to(stream):
        if "run" in event:
            types[event["run"]["runId"]].append(event["eventType"])
    assert len(types) == OPENLINEAGE_RUNS
    for of_run in types.values():
        assert (of_run[0], of_run.count("START")) == ("START", 1)
        assert [each in END_STATES for each in of_run].index(True) == len(of_run) - 1


def test_a_run_says_what_launched_it(
    case: Case, stream: str, deploy: Callable[[Case], Shop]
) -> None:
    launches: defaultdict[str, set[str]] = defaultdict(set)
    for event in deploy(case).sent_to(stream):
        if "run" in event:
            run = event["run"]["facets"]["dagster_run"]
            launches[run["jobName"]].add(run.get("launch", {}).get("type", "by hand"))
    assert launches == {
        "nightly": {"by hand"},
        "newsletter": {"by hand"},
        "watch_suppliers": {"SCHEDULE"},
        "__ASSET_JOB": {"BACKFILL"},
    }


def test_both_mechanisms_send_the_same_events(deploy: Callable[[Case], Shop]) -> None:
    by_storage, by_sensor = map(by_launch, map(deploy, COVERING))
    assert by_storage.keys() == by_sensor.keys()
    for launch, events in by_storage.items():
        assert not list(differences(by_sensor[launch], events)), launch


def by_launch(shop: Shop) -> dict[tuple[str, ...], dict[str, list[Json]]]:
    """What was sent of each Dagster run, without what differs from one deployment to the next."""
    of_run: defaultdict[tuple[str, ...], list[Json]] = defaultdict(list)
    for sent in shop.sent_to("file"):
        event = json.loads(json.dumps(sent).replace(shop.namespace, "shop"))
        of_run[launch_of(event)].append(event)
    return {launch: comparable(events) for launch, events in of_run.items()}


def launch_of(event: Json) -> tuple[str, ...]:
    """Namespace, Dagster job and partition of an event; what the launch was called is removed."""
    if "run" not in event:
        return (event["dataset"]["namespace"],)
    facets = event["run"]["facets"]
    tags = {tag["key"]: tag for tag in facets["tags"]["tags"]}
    for key in ("dagster/backfill", "dagster/tick"):
        tags.pop(key, {})["value"] = ""
    if "dagster/schedule_name" in tags and "nominalTime" in facets:
        facets["nominalTime"].clear()
    run = facets["dagster_run"]
    if run.get("launch", {}).get("type") == "BACKFILL":
        run["launch"]["name"] = ""
    partition = tags["dagster/partition"]["value"] if "dagster/partition" in tags else ""
    return (event["job"]["namespace"], run["jobName"], partition)
