"""What users add: by metadata and by functions; their mistakes cost what is wrong and no more."""

import logging
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import attr
import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openlineage.client.event_v2 import InputDataset
from openlineage.client.facet_v2 import RunFacet

from openlineage_dagster_core.conversion import custom
from openlineage_dagster_core.errors import ConfigurationError
from openlineage_dagster_core.settings import Settings
from recorded_run import check_runs, converted, names, one

Json = dict[str, Any]
Golden = Callable[[str, list[Json]], None]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    custom.mistakes.clear()
    custom._provider.cache_clear()
    yield
    custom.mistakes.clear()
    custom._provider.cache_clear()


def definitions(metadata: dict[str, Any], made: dict[str, Any] | None = None) -> dg.Definitions:
    @dg.asset(deps=["upstream"], metadata=metadata)
    def orders() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata=made or {})

    return dg.Definitions([orders], jobs=[dg.define_asset_job("all")])


def events_of(
    metadata: dict[str, Any], made: dict[str, Any] | None = None, **options: object
) -> list[Json]:
    settings = Settings.from_options(options, {})
    return converted(definitions(metadata, made), "all", settings=settings)


KAFKA = {"namespace": "kafka://h:9092", "name": "orders", "facets": {"own": {"of": "kafka"}}}


def test_datasets_that_a_definition_names_are_on_every_event_of_the_run() -> None:
    events = events_of(
        {"openlineage/inputs": [KAFKA, "other/asset"], "openlineage/outputs": [KAFKA]}
    )
    check_runs(events)
    for state in ("START", "COMPLETE"):
        event = one(events, "orders", state)
        assert names(event["inputs"]) == ["upstream", "orders", "other/asset"]
        assert names(event["outputs"]) == ["orders", "orders"]
        assert event["outputs"][1]["namespace"] == "kafka://h:9092"
        for dataset in (event["inputs"][1], event["outputs"][1]):
            assert dataset["facets"]["own"]["of"] == "kafka"
            source = dataset["facets"]["dataSource"]
            assert source["name"] == source["uri"] == "kafka://h:9092"


def test_names_of_facets_are_fit_to_send() -> None:
    [complete] = [
        event
        for event in events_of({}, {"openlineage/dataset_facets": {"a\x00": {}, "b\ud800": {}}})
        if event["job"]["name"] == "orders" and event["eventType"] == "COMPLETE"
    ]
    assert {"a\ufffd", "b\ufffd"} <= complete["outputs"][0]["facets"].keys()


def test_a_facet_that_is_nested_too_deep_costs_itself_alone() -> None:
    deep: dict[str, Any] = {}
    for _ in range(900):
        deep = {"a": deep}
    facets = {"deep": deep, "flat": {"a": 1}}
    complete = one(events_of({"openlineage/dataset_facets": facets}), "orders", "COMPLETE")
    assert "flat" in complete["outputs"][0]["facets"]
    assert "deep" not in complete["outputs"][0]["facets"]


def test_what_a_materialization_names_is_on_its_completion() -> None:
    events = events_of({}, {"openlineage/inputs": [KAFKA]})
    assert names(one(events, "orders", "COMPLETE")["inputs"]) == ["upstream", "orders"]


def test_a_dataset_that_is_named_twice_is_one() -> None:
    events = events_of({"openlineage/inputs": ["upstream"], "openlineage/outputs": ["orders"]})
    event = one(events, "orders", "COMPLETE")
    assert names(event["inputs"]) == ["upstream"]
    assert names(event["outputs"]) == ["orders"]


def test_facets_are_added_where_they_belong() -> None:
    metadata = {
        f"openlineage/{place}_facets": {"own": {"place": place}}
        for place in ("run", "job", "dataset", "output")
    }
    event = one(events_of(metadata), "orders", "COMPLETE")
    [written] = event["outputs"]
    found = {
        "run": event["run"]["facets"],
        "job": event["job"]["facets"],
        "dataset": written["facets"],
        "output": written["outputFacets"],
    }
    for place, facets in found.items():
        assert facets["own"]["place"] == place
        assert facets["own"]["_schemaURL"].endswith(f"/{custom.PLACES[place]}")
        assert facets["own"]["_producer"] == event["producer"]
    assert "jobType" in event["job"]["facets"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"openlineage/inputs": "orders"},
        {"openlineage/inputs": [{"name": "no namespace"}]},
        {"openlineage/outputs": [7]},
        {"openlineage/run_facets": ["a"]},
        {"openlineage/run_facets": {"own": "text"}},
        {"openlineage/run_facets": {"dagster_run": {"a": 1}}},
        {"openlineage/job_facets": {"jobType": {"a": 1}}},
        {"openlineage/job_facets": {"": {"a": 1}}},
        {"openlineage/facets": {"own": {}}},
        {"openlineage/run_facets": {"own": {"_producer": 5}}},
        {"openlineage/run_facets": {"own": {"_schemaURL": "not a uri"}}},
        {"openlineage/dataset_facets": {"own": {"_deleted": "maybe"}}},
    ],
)
def test_a_mistake_in_metadata_is_left_out_said_once_and_counted(
    wrong: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "openlineage_dagster_core"):
        events = events_of(wrong)
    check_runs(events)
    right = events_of({})
    assert [event["job"]["name"] for event in events] == [event["job"]["name"] for event in right]
    assert one(events, "orders", "COMPLETE")["job"]["facets"]["jobType"]["jobType"] == "ASSET"
    ours = [record for record in caplog.records if "OpenLineage" in record.message]
    assert len(ours) == 1
    assert sum(custom.mistakes.values()) >= 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(custom.KNOWN_KEYS)), json_values))
def test_no_additions_break_an_event(added: dict[str, object]) -> None:
    custom._checked(added, "any")
    for side in ("inputs", "outputs"):
        list(custom._datasets(added, side, dg.AssetKey("any"), named=_dataset))


def _dataset(key: dg.AssetKey) -> InputDataset:
    return InputDataset("dagster", key.to_user_string())


@attr.define
class OwnRunFacet(RunFacet):
    state: str


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    made = ModuleType("users_facets")
    monkeypatch.setitem(sys.modules, "users_facets", made)
    return made


PROVIDERS = ["users_facets:provide"]


def test_a_function_adds_facets_to_every_event(module: ModuleType) -> None:
    def provide(subject: custom.Subject) -> custom.Facets:
        state = subject.event.eventType.value  # type: ignore[union-attr]
        return {
            "run": {"own": OwnRunFacet(state)},
            "dataset": {"about": {"asset": str(subject.asset_key)}},
            "input": {"read": {"run": subject.run.job_name}},
        }

    module.provide = provide  # type: ignore[attr-defined]
    events = events_of({}, facet_providers=PROVIDERS)
    check_runs(events)
    for event in events:
        assert event["run"]["facets"]["own"]["state"] == event["eventType"]
    done = one(events, "orders", "COMPLETE")
    assert done["run"]["facets"]["own"]["_schemaURL"].endswith("/RunFacet")
    assert done["outputs"][0]["facets"]["about"]["asset"] == str(dg.AssetKey("orders"))
    assert done["inputs"][0]["inputFacets"]["read"]["run"] == "all"


@pytest.mark.parametrize(
    "answer",
    [
        ValueError("mine"),
        SystemExit(1),
        {"run": "no facets"},
        {"nowhere": {"own": {}}},
        {"run": {"own": object()}},
        7,
    ],
)
def test_a_function_that_goes_wrong_costs_its_facets_and_no_more(
    module: ModuleType, answer: object, caplog: pytest.LogCaptureFixture
) -> None:
    def provide(subject: custom.Subject) -> Any:
        if isinstance(answer, BaseException):
            raise answer
        return answer

    module.provide = provide  # type: ignore[attr-defined]
    with caplog.at_level(logging.ERROR, "openlineage_dagster_core"):
        events = events_of({}, facet_providers=PROVIDERS)
    assert events == events_of({})
    assert len([record for record in caplog.records if "users_facets" in record.message]) == 1
    assert custom.mistakes["users_facets:provide"] == len(events)


def test_what_a_function_adds_to_one_event_is_not_in_another(module: ModuleType) -> None:
    def provide(subject: custom.Subject) -> custom.Facets:
        return {"input": {"own": {"state": subject.event.eventType.value}}}  # type: ignore[union-attr]

    module.provide = provide  # type: ignore[attr-defined]

    @dg.observable_source_asset
    def watched() -> dg.DataVersion:
        return dg.DataVersion("1")

    settings = Settings.from_options(
        {"facet_providers": PROVIDERS, "observation_events": "run", "families": ["observation"]},
        {},
    )
    watch = dg.Definitions([watched], jobs=[dg.define_asset_job("watch", ["watched"])])
    for event in converted(watch, "watch", settings=settings):
        assert event["inputs"][0]["inputFacets"]["own"]["state"] == event["eventType"]


def test_a_function_that_is_not_there_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "openlineage_dagster_core"):
        assert events_of({}, facet_providers=["nowhere.at_all:provide"]) == events_of({})
    assert len([record for record in caplog.records if "nowhere" in record.message]) == 1


@pytest.mark.parametrize("name", ["nowhere.at_all:provide", "json:nothing", "json:__name__"])
def test_where_it_is_asked_for_at_once_a_missing_function_is_an_error(name: str) -> None:
    with pytest.raises(ConfigurationError, match="facet_providers"):
        custom.load_provider(name)


def test_a_number_that_json_does_not_have_costs_itself_and_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    given = {"share": float("nan"), "rows": 3, "in": [{"low": float("-inf"), "high": 7}]}
    with caplog.at_level(logging.ERROR, "openlineage_dagster_core"):
        events = events_of({"openlineage/dataset_facets": {"own": given, "other": {"a": 1}}})
    facets = one(events, "orders", "COMPLETE")["outputs"][0]["facets"]
    assert (facets["own"]["rows"], facets["own"]["in"]) == (3, [{"high": 7}])
    assert "share" not in facets["own"]
    assert facets["other"]["a"] == 1
    assert "dataset facet own.share is nan" in caplog.text


def test_texts_of_users_are_made_fit_for_every_backend() -> None:
    events = events_of({"openlineage/dataset_facets": {"own": {"a\x00": ["b\ud800", "c"]}}})
    facets = one(events, "orders", "COMPLETE")["outputs"][0]["facets"]
    assert facets["own"]["a\ufffd"] == ["b\ufffd", "c"]


def test_the_namespace_of_a_users_dataset_has_no_password() -> None:
    named = [{"namespace": "postgres://user:hunter2@db:5432", "name": "a"}]
    event = one(events_of({"openlineage/inputs": named}), "orders", "COMPLETE")
    assert "postgres://db:5432" in {each["namespace"] for each in event["inputs"]}
    assert "hunter2" not in str(event)
