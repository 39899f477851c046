import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_lab.errors import Place, Problem
from moe_lab.sweep.spacing import is_spacing, spaced

HERE = Place("here")


def values(text: str) -> list[int | float]:
    problems: list[Problem] = []
    found = [node.value for node in spaced(text, HERE, problems)]
    assert problems == []
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("log:1e-4:1:5", [0.0001, 0.001, 0.01, 0.1, 1]),
        ("log(1e-4,1,5)", [0.0001, 0.001, 0.01, 0.1, 1]),
        ("log( 1, 1e-2, 3 )", [1, 0.1, 0.01]),
        ("log:4:32:4", [4, 8, 16, 32]),
        (
            "log:1:2:3",
            [1, 1.414213562373, 2],
        ),  # sqrt 2 is 1.41421356237309…: a digit less is 2e-12 off
        ("lin:1e-3:5e-3:5", [0.001, 0.002, 0.003, 0.004, 0.005]),
        ("lin:-0.3:0.3:7", [-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3]),
        ("lin:100:500:5", [100, 200, 300, 400, 500]),
        ("lin:0:1:3", [0, 0.5, 1]),
        ("range:2:17:5", [2, 7, 12]),
        ("range(2,5)", [2, 3, 4]),
        ("range:3:0:-1", [3, 2, 1]),
    ],
)
def test_a_rule_gives_these_values(text, expected):
    assert is_spacing(text)
    assert values(text) == expected


def test_values_of_integer_ends_are_integers_where_they_can_be():
    assert [type(value) for value in values("log:4:32:4")] == [int] * 4
    assert [type(value) for value in values("log:4.0:32:4")] == [float, float, float, int]


@given(st.floats(1e-9, 1e9), st.floats(1e-9, 1e9), st.integers(3, 50))
def test_log_has_equal_ratios_and_both_ends(start, end, count):
    if start == end:
        return
    found = values(f"log:{start!r}:{end!r}:{count}")
    assert (found[0], found[-1], len(found)) == (start, end, count)
    for index, value in enumerate(found):
        exact = start * math.exp(math.log(end / start) * index / (count - 1))
        assert value == pytest.approx(exact, rel=1e-11)


DECIMALS = st.integers(-(10**12), 10**12).map(lambda millionths: millionths / 1e6)


@given(DECIMALS, DECIMALS, st.integers(3, 50))
def test_lin_has_equal_distances_and_both_ends(start, end, count):
    if start == end:
        return
    found = values(f"lin:{start!r}:{end!r}:{count}")
    assert (found[0], found[-1], len(found)) == (start, end, count)
    for index, value in enumerate(found):
        exact = start + (end - start) * index / (count - 1)
        assert value == pytest.approx(exact, rel=1e-11, abs=2e-12 * max(abs(start), abs(end)))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("log:0:1:4", "0 is not above 0"),
        ("log:1:-1:4", "-1 is not above 0"),
        ("log:1:2:1", "1 is not a number of values, which are 2 or more"),
        ("lin:1:2:2.5", "2.5 is not a number of values, which are 2 or more"),
        ("lin:1:1:3", "both ends are the same"),
        ("lin:1:2", "three numbers are needed, not 2"),
        ("log:", "'' is not a number"),
        ("lin:a:2:3", "'a' is not a number"),
        ("lin:1:.inf:3", "'.inf' is not a number"),
        ("lin:true:2:3", "'true' is not a number"),
        ("range:2:17:0", "the step is 0"),
        ("range:5:2", "there is no value in it"),
        ("range:0.5:2", "two or three integers are needed"),
        ("range:9", "two or three integers are needed"),
        ("lin:0:1:1000000000000", "an axis has at most 10,000 values"),
        ("range:0:1000000000000000000000000", "an axis has at most 10,000 values"),
    ],
)
def test_a_rule_without_sense_is_refused_with_an_example(text, reason):
    problems: list[Problem] = []
    assert spaced(text, HERE, problems) == []
    kind = text.partition(":")[0]
    (problem,) = problems
    assert problem.message == f"'{text}': {reason}"
    assert problem.place == HERE
    assert f"{kind}:" in (problem.help or "")


@pytest.mark.parametrize("text", ["log", "logistic:1:2:3", "1", "lin 1 2 3", "", "x:log:1:2:3"])
def test_other_texts_are_no_rules(text):
    assert not is_spacing(text)
