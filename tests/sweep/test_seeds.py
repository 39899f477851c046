import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_lab.errors import ConfigError
from moe_lab.sweep.seeds import LARGEST, parse_seeds


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("3", (5, 6, 7)),
        ("1", (5,)),
        ("0,7,42", (0, 7, 42)),
        (" 2 , 1 ", (2, 1)),
        ("7,", (7,)),
        (f"0,{LARGEST}", (0, LARGEST)),
    ],
)
def test_a_number_counts_from_the_seed_of_the_base_and_a_list_is_taken_as_it_is(text, seeds):
    assert parse_seeds(text, 5) == seeds


@given(st.integers(1, 100), st.integers(0, LARGEST - 100))
def test_replicates_have_consecutive_seeds(count, base):
    assert parse_seeds(str(count), base) == tuple(range(base, base + count))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0", "seeds: 0 replicates are outside [1, 10000]"),
        ("-3", "seeds: -3 replicates are outside [1, 10000]"),
        ("10001", "seeds: 10001 replicates are outside [1, 10000]"),
        ("three", "seeds: expected a number of replicates or a list, got 'three'"),
        ("1.5", "seeds: expected a number of replicates or a list, got '1.5'"),
        ("true", "seeds: expected a number of replicates or a list, got 'true'"),
        ("", "seeds: expected a number of replicates or a list, got ''"),
        ("0,-1", "seeds: -1 is outside [0, 9223372036854775807]"),
        (f"0,{LARGEST + 1}", f"seeds: {LARGEST + 1} is outside [0, {LARGEST}]"),
        ("0,x", "seeds: 'x' is not an integer"),
        ("0,,1", "seeds: '' is not an integer"),
        ("4,4", "seeds: 4 is given twice"),
    ],
)
def test_seeds_that_are_none_are_refused(text, message):
    with pytest.raises(ConfigError) as caught:
        parse_seeds(text, 0)
    lines = caught.value.render().splitlines()
    assert lines[:2] == [f"error: {message}", f"  --> command line: --seeds {text}"]
    assert lines[2].startswith("  help: ")


def test_replicates_may_not_go_beyond_the_largest_seed():
    assert parse_seeds("2", LARGEST - 1) == (LARGEST - 1, LARGEST)
    with pytest.raises(ConfigError, match=f"3 of them from {LARGEST - 1} go beyond {LARGEST}"):
        parse_seeds("3", LARGEST - 1)


def test_all_wrong_seeds_are_named_at_once():
    with pytest.raises(ConfigError) as caught:
        parse_seeds("1,x,1,-1", 0)
    assert len(caught.value.problems) == 3
