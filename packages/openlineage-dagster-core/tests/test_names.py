import logging
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from openlineage_dagster_core.names import (
    LONGEST_NAME,
    LONGEST_TEXT_BYTES,
    limited,
    safe_dataset_namespace,
    safe_job_namespace,
    safe_name,
)

FUNCTIONS = (safe_name, safe_dataset_namespace, safe_job_namespace)

any_text = st.text(st.characters(exclude_categories=()), max_size=300) | st.text().map(
    lambda text: text * 50
)
any_characters = st.text(st.characters(exclude_categories=()))


@pytest.mark.parametrize("make_safe", FUNCTIONS)
@given(text=any_text)
def test_whatever_comes_in_what_goes_out_is_safe(make_safe, text: str) -> None:
    safe = make_safe(text)
    assert safe.strip()
    assert len(safe) <= LONGEST_NAME
    assert not re.search(r"[\x00-\x1f\x7f]", safe)
    safe.encode()
    if make_safe is safe_dataset_namespace:
        assert re.fullmatch(r"[A-Za-z0-9:;=/_.@+-]+", safe)
    if make_safe is safe_job_namespace:
        assert re.fullmatch(r"[A-Za-z0-9:/_.@+-]+", safe)


@pytest.mark.parametrize("make_safe", FUNCTIONS)
@given(text=any_text, other=any_text)
def test_different_texts_stay_different(make_safe, text: str, other: str) -> None:
    assume(text != other)
    assert make_safe(text) != make_safe(other)


@pytest.mark.parametrize("make_safe", FUNCTIONS)
@given(text=any_text)
def test_what_is_safe_is_left_alone(make_safe, text: str) -> None:
    assert make_safe(make_safe(text)) == make_safe(text)


@pytest.mark.parametrize("name", ["raw/orders", "Ümsätze", "a b", "日本", "x" * 255, "a\\/b"])
def test_ordinary_names_stay_as_they_are(name: str) -> None:
    assert safe_name(name) == name


@pytest.mark.parametrize(
    "namespace", ["dagster", "postgres://db:5432", "s3://bucket", "corp/acme-1", "a.b@c+d"]
)
def test_ordinary_namespaces_stay_as_they_are(namespace: str) -> None:
    assert safe_dataset_namespace(namespace) == namespace
    assert safe_job_namespace(namespace) == namespace


def test_long_names_that_begin_alike_stay_apart() -> None:
    assert safe_name("x" * 300 + "a") != safe_name("x" * 300 + "b")


def test_what_was_changed_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            safe_job_namespace("my company, once")
    [record] = caplog.records
    assert "my company, once" in record.getMessage()
    assert "my_company__once-" in record.getMessage()


@given(any_characters, st.integers(min_value=0, max_value=40))
def test_whatever_comes_in_what_goes_out_is_fit_and_short(text: str, longest: int) -> None:
    fit = limited(text, longest)
    assert len(fit.encode()) <= longest
    assert "\x00" not in fit
    whole = limited(text)
    if len(whole.encode()) <= longest:
        assert fit == whole
    else:
        assert whole.startswith(fit.removesuffix("…"))
        assert fit.endswith("…") or longest < 3


@given(any_characters, st.integers(min_value=0, max_value=40))
def test_what_is_fit_is_left_alone(text: str, longest: int) -> None:
    fit = limited(text, longest)
    assert limited(fit, longest) is fit


@pytest.mark.parametrize(
    ("text", "longest", "fit"),
    [
        ("a\x00b", 10, "a\ufffdb"),
        ("a\ud800b", 10, "a\ufffdb"),
        ("abcdef", 5, "ab…"),
        ("äöü", 5, "ä…"),
        ("äöü", 4, "…"),
        ("äöü", 6, "äöü"),
        ("😀😀", 7, "😀…"),
        ("😀😀", 6, "…"),
        ("abc", 2, "ab"),
    ],
)
def test_no_character_is_cut_in_two(text: str, longest: int, fit: str) -> None:
    assert limited(text, longest) == fit


def test_the_limit_is_64_kilobytes() -> None:
    assert len(limited("x" * 10**6)) == LONGEST_TEXT_BYTES - 2
    assert len(limited("x" * LONGEST_TEXT_BYTES)) == LONGEST_TEXT_BYTES
