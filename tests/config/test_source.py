import math

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_lab.config.source import Node, parse, scalar
from moe_lab.errors import Place, Problem


def locate(start: yaml.Mark, end: yaml.Mark) -> Place:
    return Place("t", start.line + 1, start.column + 1)


def parsed(text: str) -> tuple[Node | None, list[Problem]]:
    problems: list[Problem] = []
    return parse(text, locate, problems), problems


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-2.5e+1", -25.0),
        ("12", 12),
        ("+12", 12),
        ("-0", 0),
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        (".inf", math.inf),
        ("-.inf", -math.inf),
    ],
)
def test_scalars_are_read_as_yaml_1_2_says(text, value):
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)


@pytest.mark.parametrize(
    "text",
    ["no", "yes", "on", "True", "010", "1_000", "0x10", "1:30", "2026-01-01", "1e", "e5", "nan"],
)
def test_what_is_no_yaml_1_2_number_or_word_is_a_string(text):
    assert scalar(text) == text


def test_nan_is_recognised_so_that_it_can_be_refused_by_name():
    value = scalar(".nan")
    assert isinstance(value, float)
    assert math.isnan(value)


def test_keys_are_text_whatever_they_look_like():
    node, _ = parsed("1: a\nnull: b\ntrue: c\n")
    assert node
    assert node.plain() == {"1": "a", "null": "b", "true": "c"}


def test_a_value_knows_its_place_and_its_keys_place():
    node, _ = parsed("a:\n  bb: [x, 5]\n")
    assert node
    item = node.at(("a", "bb", "1"))
    assert item
    assert (item.value, item.place.line, item.place.column) == (5, 2, 11)
    inner = node.at(("a", "bb"))
    assert inner
    assert (inner.key.line, inner.key.column) == (2, 3)
    assert node.at(("a", "no", "such")) is None


def test_quoted_scalars_stay_strings():
    node, _ = parsed("a: '1'\nb: \"true\"\nc: |\n  5\n")
    assert node
    assert node.plain() == {"a": "1", "b": "true", "c": "5\n"}


@pytest.mark.parametrize(
    ("text", "message", "line", "column"),
    [
        ("a: *x", "aliases are not allowed", 1, 4),
        ("b: 1\na: &x 1", "anchors are not allowed", 2, 4),
        ("&r [*r]", "anchors are not allowed", 1, 1),
        (
            "a: !!python/object/apply:os.system [x]",
            'tags are not allowed ("!!python/object/apply:os.system")',
            1,
            4,
        ),
        ("a: !!binary x", 'tags are not allowed ("!!binary")', 1, 4),
        ("a: !foo {b: 1}", 'tags are not allowed ("!foo")', 1, 4),
        ("<<: {a: 1}", "merge keys are not allowed", 1, 1),
        ("? [1, 2]\n: 3", "keys must be plain names", 1, 3),
        ("a: 1\nb: 2\na: 3", "'a' is given twice; first on line 1", 3, 1),
        ("a: 1\n---\nb: 2", "a second document starts here", 2, 1),
        ("a:\n\tb: 1", "a tab is used for indentation", 2, 1),
        ("lr: 0.1: 2", "mapping values are not allowed here", 1, 8),
        ("a: [1, 2", "the list opened here is never closed", 1, 4),
        ("a: [1, 2\nb: 3", "the list opened here is never closed", 1, 4),
        ("a: {b: 1", "the mapping opened here is never closed", 1, 4),
        ("a: 'x", "the quote opened here is never closed", 1, 4),
        ("a: @x", 'a value cannot start with "@"', 1, 4),
        ("a: `x", 'a value cannot start with "`"', 1, 4),
        ("a: %x", 'a value cannot start with "%"', 1, 4),
        ("b: 1\na: \x00", "control character U+0000", 2, 4),
        ("a: \u202ex", "control character U+202E", 1, 4),
        ('a: "\\0"', "the control character U+0000 is not allowed in a value", 1, 4),
        ('a: "\\ud800"', "the control character U+D800 is not allowed in a value", 1, 4),
        ('a: "\\UFFFFFFFF"', "a number or an escape here is out of range", 1, 7),
        ("a: [1]]", "this does not fit the lines above", 1, 7),
        ("[" * 5000, "nesting deeper than 20", 1, 21),
        ("a: " + "{b: " * 5000, "nesting deeper than 20", 1, 80),  # 3 + 4 * 19 + 1
    ],
)
def test_what_a_config_may_not_contain_is_named_and_located(text, message, line, column):
    _, problems = parsed(text)
    assert [(p.message, p.place.line, p.place.column) for p in problems if p.place] == [
        (message, line, column)
    ]


def test_all_duplicates_are_reported_at_once():
    _, problems = parsed("a: 1\na: 2\nb: 1\nb: 2\n")
    assert len(problems) == 2


@settings(deadline=None)
@given(st.text() | st.text(alphabet=" \n\t:-[]{}'\"#&*!|>%@`?,a1.\\~0x<"))
def test_any_text_gives_a_value_or_problems(text):
    node, problems = parsed(text)
    if node:
        node.plain()
    for problem in problems:
        problem.render()
