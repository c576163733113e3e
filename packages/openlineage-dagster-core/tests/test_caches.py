"""What is made once for an argument, and for how long it is kept."""

from dataclasses import dataclass

from openlineage_dagster_core.caches import PerObject, PerValue


@dataclass(frozen=True, eq=False)
class Definition:
    name: str


def test_the_value_of_an_object_is_made_once_and_goes_with_the_object() -> None:
    made: list[str] = []

    def make(of: Definition) -> str:
        made.append(of.name)
        return of.name * 2

    per_object = PerObject(make)
    first, second = Definition("a"), Definition("a")
    assert [per_object(first), per_object(first), per_object(second)] == ["aa"] * 3
    assert made == ["a", "a"], "two objects, however alike"
    assert len(per_object._values) == 2
    del first
    assert len(per_object._values) == 1
    assert per_object(second) == "aa"
    assert len(made) == 2
    for number in range(1000):
        # The identity of a dead object may come back.
        assert per_object(Definition(str(number))) == str(number) * 2
    assert len(per_object._values) == 1


def test_results_are_kept_by_value_up_to_a_weight() -> None:
    made: list[tuple[int, ...]] = []

    def make(of: tuple[int, ...]) -> list[int]:
        made.append(of)
        return list(of)

    per_value = PerValue(make, len, 5)
    assert per_value((1, 2)) is per_value((1, 2))
    per_value((3, 4))
    per_value((1, 2))
    assert made == [(1, 2), (3, 4)]
    # The one that was used longest ago has to go.
    per_value((5, 6))
    per_value((1, 2))
    assert made == [(1, 2), (3, 4), (5, 6)]
    per_value((3, 4))
    assert made[3:] == [(3, 4)]
    # One that is too heavy is kept until the next one comes.
    heavy = tuple(range(100))
    assert per_value(heavy) is per_value(heavy)
    per_value((7,))
    assert per_value._weight == 1
