import csv
import io

import pytest

from moe_lab.page import definitions
from moe_lab.page.tables import Choice, table
from moe_lab.report.pages import Sheet
from moe_lab.statistics import Interval, Proportion


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (0.25, 0.25),
        (3, 3),
        ("0.45 +/- 0.07", 0.45),
        ("-1e-3", -0.001),
        ("3†", 3),
        (Interval(0.45, 0.07, 3), 0.45),
        (Proportion(1, 4, 0.0, 1.0), 0.25),
        (None, None),
        (float("nan"), None),
        (float("inf"), None),
        (True, None),
        ("balanced", None),
        ("alpha-0.1-s0", None),
    ],
)
def test_a_cell_is_sorted_by_the_number_that_it_shows(value: object, number: float | None):
    made = table("t", Sheet(("n_eff",), ((value,),)))
    assert made.groups[0][0].cells[0].number == number


def test_a_blank_row_divides_a_table_and_rows_keep_their_choices():
    sheet = Sheet(("run", "n_eff"), (("a", 1.0), (), ("b", 2.0), ("b", 2.0)))
    made = table("t", sheet, choices=[Choice("p", "a"), None, Choice("p", "b")])
    assert [len(group) for group in made.groups] == [1, 2]
    chosen = [row.choice and row.choice.run for group in made.groups for row in group]
    assert chosen == ["a", None, "b"]


def test_a_copy_has_every_digit_and_no_formula():
    made = table("t", Sheet(("run", "n_eff"), (("=1+1", 1 / 3), ("a|b", None))))
    rows = list(csv.reader(io.StringIO(made.copies["csv"])))
    assert rows == [["run", "n_eff"], ["'=1+1", "0.3333333333333333"], ["a|b", ""]]
    assert "| a\\|b | - |" in made.copies["markdown"]


@pytest.mark.parametrize(
    ("word", "column"),
    [
        ("n_eff", "n_eff"),
        ("  n_eff at step 0", "n_eff_start"),
        ("cv (floor 0.029)", "cv"),
        ("max_vio", "max_violation"),
        ("p", "difference_p_holm"),
        ("gap - first", "gap"),
        ("alpha", "moe.alpha"),
        ("moe.alpha", "moe.alpha"),
    ],
)
def test_a_word_of_a_header_is_found_among_the_definitions(word: str, column: str):
    found = definitions.meant(word)
    assert found is not None
    assert found.name == column
    assert found.meaning


@pytest.mark.parametrize("word", ["", "0", "mean", "loss, nats per token"])
def test_what_is_no_number_has_no_definition(word: str):
    assert definitions.meant(word) is None
