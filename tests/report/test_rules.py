import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_lab.errors import ConfigError
from moe_lab.report.rules import VERDICT_WORDS, parse, refuse_unknown


@given(
    st.from_regex(r"[a-z_][a-z0-9_]{0,12}", fullmatch=True).filter(
        lambda name: name not in VERDICT_WORDS
    ),
    st.sampled_from([">", ">=", "<", "<="]),
    st.floats(-1e300, 1e300),
    st.sampled_from(["", " ", "  "]),
)
def test_what_is_written_is_what_is_read(name: str, comparison: str, number: float, gap: str):
    rule = parse(f"{name}{gap}{comparison}{gap}{number!r}")
    assert (rule.name, rule.comparison) == (name, comparison)
    assert rule.limit is not None
    assert rule.limit.value(None) == number
    assert rule.meets(number, number) == (comparison in (">=", "<="))
    assert not rule.needs_baseline


@given(st.sampled_from("*+-"), st.floats(0, 1e6), st.floats(-1e6, 1e6))
def test_a_baseline_is_reckoned_with(sign: str, number: float, baseline: float):
    limit = parse(f"cv > baseline {sign} {number!r}").limit
    assert limit is not None
    expected = {"*": baseline * number, "+": baseline + number, "-": baseline - number}[sign]
    assert limit.value(baseline) == expected


def test_a_baseline_alone_is_its_value():
    limit = parse("cv > baseline").limit
    assert limit is not None
    assert limit.value(0.3) == 0.3


@given(st.text(max_size=40))
def test_any_text_is_a_rule_or_is_refused_with_its_place(text: str):
    try:
        rule = parse(text)
    except ConfigError as error:
        (problem,) = error.problems
        assert problem.place is not None
        assert 1 <= problem.place.column <= len(text) + 1
    else:
        assert rule.name in text


@pytest.mark.parametrize("number", ["1", "1.", ".5", "1e3", "1E-3", "-1", "+1", "- 1", "1.5e+2"])
def test_numbers_are_written_as_usual(number: str):
    limit = parse(f"cv>{number}").limit
    assert limit is not None
    assert limit.value(None) == float(number.replace(" ", ""))


@pytest.mark.parametrize("name", ["domain_0_loss", "de-wiki.txt_loss", "größe_loss"])
def test_columns_named_after_files_can_be_named(name: str):
    assert parse(f"{name} > 1").name == name


def test_a_name_that_may_come_with_the_data_is_let_through():
    refuse_unknown([parse("x_loss > 1")], ["cv"], ["_loss"])
    with pytest.raises(ConfigError, match="no column 'x_los'"):
        refuse_unknown([parse("x_los > 1")], ["cv"], ["_loss"])
