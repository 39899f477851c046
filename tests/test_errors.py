from hypothesis import given
from hypothesis import strategies as st

from moe_lab.errors import COMMAND_LINE, LONGEST, ConfigError, Place, Problem


def test_an_endless_line_is_cut_with_its_length_and_its_neighbours_are_not():
    line = "x" * (LONGEST - 7 + 1)  # after `error: `
    text = ConfigError(line, help="write less").render()
    assert text == f"error: {line[1:]}… (1001 characters)\n  help: write less"


def test_a_line_break_in_an_argument_starts_no_line_of_its_own():
    error = ConfigError("no", place=Place(COMMAND_LINE, text="a\nerror: b"))
    assert error.render() == "error: no\n  --> command line: a?error: b"


@given(st.text(max_size=50))
def test_carets_stand_below_the_letters_whatever_these_are(text: str):
    rendered = Problem("no", Place("x.yaml", 1, 1, text, len(text) + 1)).render()
    source, carets = rendered.split("\n")[3:]
    assert source.isprintable()
    assert len(source) + 1 == len(carets)
