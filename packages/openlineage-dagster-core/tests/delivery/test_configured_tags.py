"""Tags of the client's configuration in events."""

from typing import Any

import pytest
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import DatasetEvent, Job, Run, RunEvent, RunState, StaticDataset
from openlineage.client.generated.tags_job import TagsJobFacet, TagsJobFacetFields

from openlineage_dagster_core.delivery.configured_tags import ConfiguredTags

PRODUCER = "https://example.com/producer"


@pytest.fixture
def tags(monkeypatch: pytest.MonkeyPatch) -> ConfiguredTags:
    monkeypatch.setenv("OPENLINEAGE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("OPENLINEAGE__TAGS__JOB__TEAM", "blue")
    return ConfiguredTags(OpenLineageClient())


def event(job_facets: dict[str, Any]) -> RunEvent:
    return RunEvent(
        eventTime="2026-01-01T00:00:00Z",
        eventType=RunState.START,
        run=Run(runId="11111111-1111-4111-8111-111111111111", facets={}),
        job=Job(namespace="n", name="j", facets=job_facets),
        producer=PRODUCER,
    )


def job_tags(made: RunEvent) -> dict[str, str]:
    facets: Any = made.job.facets
    return {tag.key: tag.value for tag in facets["tags"].tags}


def facet(key: str) -> TagsJobFacet:
    return TagsJobFacet(tags=[TagsJobFacetFields(key, "red", "DAGSTER")], producer=PRODUCER)


def test_the_spelling_of_one_event_is_not_that_of_the_next(tags: ConfiguredTags) -> None:
    kept = [facet("TEAM"), facet("Team")]
    first, second, third = (event({"tags": kept[0]}), event({"tags": kept[1]}), event({}))
    for each in (first, second, third):
        tags.add(each)
    assert [job_tags(each) for each in (first, second, third)] == [
        {"TEAM": "blue"},
        {"Team": "blue"},
        {"team": "blue"},
    ]
    assert kept == [facet("TEAM"), facet("Team")]


def test_a_facet_that_events_share_is_merged_once(tags: ConfiguredTags) -> None:
    kept = facet("a")
    first, second = event({"tags": kept}), event({"tags": kept})
    tags.add(first)
    tags.add(second)
    assert job_tags(first) == {"a": "red", "team": "blue"}
    assert first.job.facets is not None
    assert second.job.facets is not None
    assert first.job.facets["tags"] is second.job.facets["tags"]
    assert first.run.facets is not None
    assert second.run.facets is not None
    assert first.run.facets["tags"] is second.run.facets["tags"], "the client's version"


def test_a_facet_of_the_users_own_making_and_a_dataset_stay_as_they_are(
    tags: ConfiguredTags,
) -> None:
    own = event({"tags": {"tags": []}})
    tags.add(own)
    assert own.job.facets == {"tags": {"tags": []}}
    dataset = DatasetEvent(
        eventTime="2026-01-01T00:00:00Z",
        dataset=StaticDataset(namespace="n", name="d"),
        producer=PRODUCER,
    )
    before = dataset.dataset.facets
    tags.add(dataset)
    assert dataset.dataset.facets == before
