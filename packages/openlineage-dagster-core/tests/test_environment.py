import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from openlineage_dagster_core.environment import allowed_variables

ENVIRON = {"B_TOKEN": "abc", "B_MODE": "fast", "A": "1", "b_x": "2", "B_URL": "x://u:p@h"}


def test_only_what_matches_is_told_in_order_and_without_secrets() -> None:
    assert list(allowed_variables(ENVIRON, ["B_*", "none"]).items()) == [
        ("B_MODE", "fast"),
        ("B_TOKEN", "***"),
        ("B_URL", "x://***@h"),
    ]


def test_without_patterns_nothing_is_told() -> None:
    assert allowed_variables(ENVIRON, []) == {}


def test_it_needs_nothing_of_openlineage() -> None:
    code = (
        "import sys; sys.modules['openlineage'] = None\nimport openlineage_dagster_core.environment"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@given(st.dictionaries(st.text(), st.text()), st.lists(st.text()))
def test_no_environment_and_no_pattern_breaks_it(
    environ: dict[str, str], allowed: list[str]
) -> None:
    assert allowed_variables(environ, allowed).keys() <= environ.keys()
