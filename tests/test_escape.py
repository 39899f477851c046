"""Text of somebody else, shown: nothing in it acts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_lab import escape

ANY = st.text(st.characters())  # halves of pairs, too


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("größe 界 🙂", "größe 界 🙂"),
        ("\x1b[31m", r"\x1b[31m"),
        ("a\nb\r", r"a\nb\r"),
        ("\u202egnp", r"\u202egnp"),
        ("\x9b\x00", r"\x9b\x00"),
        ("\ud800", r"\ud800"),
        ("[red]", "[red]"),
    ],
)
def test_a_line_has_visible_characters_alone(text: str, shown: str) -> None:
    assert escape.line(text) == shown


@given(ANY)
def test_whatever_a_text_is_its_lines_are_visible_and_as_many(text: str) -> None:
    assert escape.line(text).isprintable()
    assert escape.lines(text).count("\n") == text.count("\n")
    assert escape.line(escape.line(text)) == escape.line(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", r"a\|b"),
        ("top_k", "top_k"),
        ("_a_", r"\_a\_"),
        ("[x](http://y)", r"\[x\](http:\//y)"),
        ("www.x.org", r"www\.x.org"),
        ("<b>&amp;", r"\<b\>\&amp;"),
        ("$x$", r"\$x\$"),
        ("a\nb", r"a\\nb"),
    ],
)
def test_markdown_shows_what_would_be_markup(text: str, shown: str) -> None:
    assert escape.markdown(text) == shown


@pytest.mark.parametrize("first", escape.FORMULA)
def test_a_spreadsheet_computes_nothing(first: str) -> None:
    assert escape.spreadsheet(f"{first}1+1").startswith("'")


@given(ANY)
def test_no_cell_of_a_spreadsheet_begins_a_formula(text: str) -> None:
    assert not escape.spreadsheet(text).startswith(escape.FORMULA)
