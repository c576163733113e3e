"""Versions of a definition over time: the same as a simple model says."""

import bisect

from hypothesis import given
from hypothesis import strategies as st

from openlineage_dagster_core.snapshots import history as history_module
from openlineage_dagster_core.snapshots.history import (
    CHANGES_KEPT,
    LONGEST_HISTORY,
    History,
    asset_row,
    digest_of,
    job_row,
)

ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=20)
changes = st.lists(
    st.tuples(st.integers(0, 100).map(float), ANY_TEXT),
    max_size=CHANGES_KEPT,
    unique_by=lambda each: each[0],
)


@given(changes=changes, times=st.lists(st.integers(-5, 110)))
def test_at_any_time_the_version_holds_that_had_begun_last(
    changes: list[tuple[float, str]], times: list[int]
) -> None:
    history = History()
    for since, text in changes:
        history.add(since, text)
    ordered = sorted(changes)
    history = History.from_text(history.to_text())
    for time in times:
        place = bisect.bisect_right([since for since, _ in ordered], time) - 1
        digest = history.at(float(time))
        if place < 0:
            assert digest is None
        else:
            assert digest is not None
            assert history.text(digest) == ordered[place][1]
    assert history.latest == (digest_of(ordered[-1][1]) if ordered else None)
    assert history.first == (digest_of(ordered[0][1]) if ordered else None)


def test_an_empty_history_has_no_version() -> None:
    assert History().at(1.0) is None
    assert History().latest is None


def test_a_version_that_comes_back_is_kept_once() -> None:
    history = History()
    for since, text in enumerate(["a", "b", "a", "b"]):
        history.add(float(since), text)
    assert len(history.versions) == 2
    assert [history.text(str(history.at(float(since)))) for since in range(4)] == list("abab")


def test_the_latest_changes_are_kept_and_no_version_without_a_change() -> None:
    history = History()
    for since in range(CHANGES_KEPT + 10):
        history.add(float(since), str(since))
    # The oldest version that is kept stands for those that are not.
    assert [since for since, _ in history.changes] == [0.0, *range(11, CHANGES_KEPT + 10)]
    assert len(history.versions) == CHANGES_KEPT
    assert history.text(str(history.at(0.0))) == "10"
    assert history.at(-1.0) is None


def test_versions_that_take_too_much_room_go_the_oldest_first() -> None:
    history = History()
    texts = [digest_of(str(number)) * 20_000 for number in range(3)]
    # What repeats itself would be packed away.
    noise = [
        "".join(digest_of(f"{number}/{each}") for each in range(10_000)) for number in range(4)
    ]
    for since, text in enumerate([*texts, *noise]):
        history.add(float(since), text)
    assert sum(map(len, history.versions.values())) <= LONGEST_HISTORY
    assert history.text(str(history.latest)) == noise[-1]


def test_versions_that_differ_little_take_little_room() -> None:
    """Such as those of an asset whose tag is the commit of each deployment."""
    words = [digest_of(str(number)) for number in range(300)]
    texts = [f"{digest_of(f'commit {number}')} {words}" for number in range(CHANGES_KEPT)]
    history = History()
    for since, text in enumerate(texts):
        history.add(float(since), text)
    assert len(history.to_text()) < LONGEST_HISTORY / 4
    history = History.from_text(history.to_text())
    assert [history.text(str(history.at(since))) for since in range(CHANGES_KEPT)] == texts


def test_one_version_is_kept_however_long_it_is(monkeypatch) -> None:
    monkeypatch.setattr(history_module, "LONGEST_HISTORY", 1)
    history = History()
    for since in (1.0, 2.0):
        history.add(since, f"a text of {since}")
    assert history.text(str(history.at(5.0))) == "a text of 2.0"


FIELDS = ["changes", "versions", "base"]


@given(stored=st.dictionaries(st.sampled_from(FIELDS), st.none() | st.text(min_size=1)))
def test_what_is_no_history_is_an_empty_one(stored: dict[str, object]) -> None:
    assert History.from_object(stored) == History()


def test_a_change_whose_version_is_lost_is_left_out() -> None:
    history = History()
    history.add(1.0, "a")
    history.add(2.0, "b")
    stored = dict(vars(history))
    del stored["versions"][digest_of("a")]
    assert History.from_object(stored).changes == [(2.0, digest_of("b"))]


@given(path=st.lists(ANY_TEXT, min_size=1), other=st.lists(ANY_TEXT, min_size=1), job=ANY_TEXT)
def test_every_asset_and_job_has_a_row_of_its_own_with_a_short_name(
    path: list[str], other: list[str], job: str
) -> None:
    assert len(asset_row(path)) <= 30
    assert len(job_row(job)) <= 30
    assert (asset_row(path) == asset_row(other)) == (path == other)
