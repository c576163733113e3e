import pytest
from hypothesis import given
from hypothesis import strategies as st

from openlineage_dagster_core.errors import ConfigurationError
from openlineage_dagster_core.namespaces import NamespaceTemplate

TENANT = NamespaceTemplate("{namespace}/{tag:tenant}")


def test_a_tag_is_part_of_the_namespace() -> None:
    assert TENANT.resolve({"namespace": "dagster"}, {"tenant": "acme"}) == "dagster/acme"


def test_a_missing_tag_leaves_no_slash() -> None:
    assert TENANT.resolve({"namespace": "dagster"}, {}) == "dagster"


def test_an_empty_value_between_two_slashes_leaves_one() -> None:
    template = NamespaceTemplate("/{namespace}/{tag:tenant}/{group}/")
    assert template.resolve({"namespace": "dagster", "group": "raw"}, {}) == "dagster/raw"


def test_the_slashes_of_a_scheme_stay() -> None:
    template = NamespaceTemplate("{namespace}/{tag:tenant}")
    assert template.resolve({"namespace": "postgres://db:5432"}, {}) == "postgres://db:5432"


def test_code_location_and_repository_resolve() -> None:
    template = NamespaceTemplate("{code_location}.{repository}")
    values = {"namespace": "dagster", "code_location": "shop", "repository": "main"}
    assert template.resolve(values, {}) == "shop.main"


def test_where_nothing_is_left_the_namespace_stands() -> None:
    assert NamespaceTemplate("{tag:tenant}").resolve({"namespace": "dagster"}, {}) == "dagster"


@pytest.mark.parametrize(
    "text", ["{tenant}", "{tag:}", "{}", "{namespace", "namespace}", "", " / "]
)
def test_a_wrong_template_fails_when_it_is_read(text: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        NamespaceTemplate(text)
    assert "namespace_template" in str(raised.value)
    assert repr(text) in str(raised.value)
    assert "{tag:KEY}" in str(raised.value)


@given(
    st.lists(st.sampled_from(["{namespace}", "{tag:a}", "{group}", "/", "x"]), min_size=1),
    st.text(),
    st.text(),
)
def test_whatever_the_values_the_namespace_is_trimmed_and_never_empty(
    parts: list[str], tag: str, group: str
) -> None:
    text = "".join(parts)
    if not text.strip("/ "):
        return
    resolved = NamespaceTemplate(text).resolve({"namespace": "ns", "group": group}, {"a": tag})
    assert resolved
    assert resolved == resolved.strip("/")
    assert "//" not in resolved.replace("://", "")
