"""The failure policy: which event is to blame, and when the backend is."""

import time

import pytest

from openlineage_dagster_core.delivery.failures import (
    ABOUT_THE_BACKEND,
    DOUBTFUL_FAILURES,
    FAILURES_IN_A_ROW,
    FIRST_RETRY_SECONDS,
    LONGEST_RETRY_SECONDS,
    PARK_AFTER,
    Attempts,
    Failures,
)
from openlineage_dagster_core.errors import BackendUnavailableError

TIMEOUT = 5.0
BROKEN = BackendUnavailableError("HTTP 500", 500)


@pytest.fixture
def failures() -> Failures:
    made = Failures(TIMEOUT)
    made.begin()
    return made


def test_an_event_that_fails_although_others_are_sent_is_parked(failures: Failures) -> None:
    attempts = Attempts()
    for _ in range(PARK_AFTER):
        assert not failures.fail(attempts, BROKEN, 0.0)
        failures.succeed()
    assert failures.fail(attempts, BROKEN, 0.0)
    assert attempts.failures == PARK_AFTER + 1
    assert failures.stopped_by is None


def test_an_event_is_not_blamed_while_nothing_else_is_sent(failures: Failures) -> None:
    attempts = Attempts()
    for _ in range(20 * PARK_AFTER):
        assert not failures.fail(attempts, BROKEN, 0.0)
        failures.begin()
    assert attempts.evidence == 0


def test_events_of_which_any_may_be_to_blame_end_the_pass_when_nothing_is_sent(
    failures: Failures,
) -> None:
    for _ in range(DOUBTFUL_FAILURES - 1):
        failures.fail(Attempts(), RuntimeError("a-secret"), 0.0)
        assert failures.stopped_by is None
    failures.fail(Attempts(), RuntimeError("a-secret"), 0.0)
    assert failures.stopped_by == "the backend takes no events, will retry: RuntimeError"


@pytest.mark.parametrize("status", sorted(ABOUT_THE_BACKEND))
def test_an_answer_that_is_about_the_backend_ends_the_pass_at_once(
    failures: Failures, status: int
) -> None:
    failures.fail(Attempts(), BackendUnavailableError(f"HTTP {status}", status), 0.0)
    assert failures.stopped_by == f"the backend takes no events, will retry: HTTP {status}"


def test_once_something_was_sent_more_events_may_fail_one_after_the_other(
    failures: Failures,
) -> None:
    failures.succeed()
    for _ in range(FAILURES_IN_A_ROW - 1):
        failures.fail(Attempts(), BackendUnavailableError("HTTP 503", 503), 0.0)
    assert failures.stopped_by is None
    failures.fail(Attempts(), BackendUnavailableError("HTTP 503", 503), 0.0)
    assert failures.stopped_by is not None


def test_what_is_sent_in_between_begins_the_count_anew(failures: Failures) -> None:
    for _ in range(10 * FAILURES_IN_A_ROW):
        failures.succeed()
        failures.fail(Attempts(), BROKEN, TIMEOUT)
    assert failures.stopped_by is None


def test_a_backend_that_never_answers_in_time_ends_the_pass(failures: Failures) -> None:
    failures.succeed()
    for _ in range(2):
        failures.fail(Attempts(), BROKEN, TIMEOUT)
    assert failures.stopped_by is None
    failures.fail(Attempts(), BROKEN, TIMEOUT)
    assert failures.stopped_by is not None


def test_the_next_pass_tries_again_and_waits_longer_each_time(failures: Failures) -> None:
    pauses = []
    for _ in range(10):
        failures.begin()
        assert failures.stopped_by is None
        failures.blame_backend("down")
        pauses.append(failures.blocks_until - time.monotonic())
    assert 0.7 * FIRST_RETRY_SECONDS <= pauses[0] <= 1.3 * FIRST_RETRY_SECONDS
    assert 0.7 * LONGEST_RETRY_SECONDS <= pauses[-1] <= 1.3 * LONGEST_RETRY_SECONDS


def test_an_answer_ends_the_long_pauses(failures: Failures) -> None:
    for _ in range(10):
        failures.begin()
        failures.blame_backend("down")
    failures.begin()
    failures.succeed()
    failures.blame_backend("down")
    assert failures.blocks_until - time.monotonic() <= 1.3 * FIRST_RETRY_SECONDS


def test_the_first_reason_of_a_pass_is_kept(failures: Failures) -> None:
    failures.stop("another process delivers now")
    failures.blame_backend("down")
    assert failures.stopped_by == "another process delivers now"


def test_an_event_is_tried_again_more_and_more_rarely(failures: Failures) -> None:
    attempts, pauses = Attempts(), []
    for _ in range(12):
        failures.fail(attempts, BROKEN, 0.0)
        pauses.append(attempts.retry_at - time.monotonic())
    assert 0.7 * FIRST_RETRY_SECONDS <= pauses[0] <= 1.3 * FIRST_RETRY_SECONDS
    assert 0.7 * LONGEST_RETRY_SECONDS <= pauses[-1] <= 1.3 * LONGEST_RETRY_SECONDS


def test_a_probe_is_needed_only_while_nothing_was_sent_since_the_failure(
    failures: Failures,
) -> None:
    attempts = Attempts()
    assert not failures.needs_probe(attempts)
    failures.fail(attempts, BROKEN, 0.0)
    assert failures.needs_probe(attempts)
    failures.succeed()
    assert not failures.needs_probe(attempts)


def test_the_message_of_a_foreign_exception_is_not_kept(failures: Failures) -> None:
    attempts = Attempts()
    failures.fail(attempts, RuntimeError("a-secret"), 0.0)
    assert attempts.message == "RuntimeError"
    failures.fail(attempts, BROKEN, 0.0)
    assert attempts.message == "HTTP 500"
