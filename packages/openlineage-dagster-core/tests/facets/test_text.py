import pytest
from hypothesis import given
from hypothesis import strategies as st

from openlineage_dagster_core.facets.text import LONGEST_BYTES, limited

any_text = st.text(st.characters(exclude_categories=()))


@given(any_text, st.integers(min_value=0, max_value=40))
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


@given(any_text, st.integers(min_value=0, max_value=40))
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
    assert len(limited("x" * 10**6)) == LONGEST_BYTES - 2
    assert len(limited("x" * LONGEST_BYTES)) == LONGEST_BYTES
