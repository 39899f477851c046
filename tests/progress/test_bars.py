import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from moe_lab import metrics
from moe_lab.progress.bars import ASCII, BLOCKS, bars, loads, worst_layers

from .conftest import See, SeenStep


def show(result: SeenStep, width: int = 120, encoding: str = "utf-8") -> list[str]:
    verdicts = dict.fromkeys(result.layers, "balanced")
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=width, force_terminal=False)
    for part in loads(result, verdicts, console.options):
        console.print(part)
    file.seek(0)
    return file.read().splitlines()


def test_a_bar_is_the_load_in_quarters_of_the_fair_share():
    # in units of the fair 1/5: 0, .25, 1, 1.75, 2, so 0, 1, 4, 7 and 8 quarters
    load = np.array([0, 0.05, 0.2, 0.35, 0.4])
    assert bars(load, BLOCKS, 0) == "·▂▅██"
    assert bars(load, ASCII, 0) == ".-*@@"


def test_experts_have_their_index_where_it_fits():
    load = metrics.load([1, 1, 1, 1])
    assert bars(load, BLOCKS, 22) == "0 ▅▅  1 ▅▅  2 ▅▅  3 ▅▅"
    assert bars(load, BLOCKS, 21) == "0▅ 1▅ 2▅ 3▅"
    assert bars(load, BLOCKS, 10) == "▅▅▅▅"


def test_many_experts_are_sorted_into_sixteen_bins_with_both_ends_named():
    # 32 experts, two per bin; expert 5 has 35 of 64 assignments = 17.5 fair shares, 0 and 9 none
    counts = [1] * 32
    counts[5], counts[0], counts[9] = 35, 0, 0
    line = bars(metrics.load(counts), ASCII, 200)
    # bins of (35, 1), fourteen of (1, 1), which is half a fair share, and (0, 0)
    bins = "@" + "=" * 14 + "."
    assert line == f"{bins}  most: 5 17.5  least: 0 0.0"
    assert bars(metrics.load(counts), ASCII, len(line) - 1) == bins


@given(
    st.lists(st.integers(0, 1000), min_size=2, max_size=300).filter(any),
    st.integers(-60, 200),
)
def test_bars_are_of_the_given_glyphs_and_bounded(counts: list[int], width: int):
    line = bars(metrics.load(counts), ASCII, width)
    assert len(line) <= max(16, width)
    assert line.isascii()


def test_numbers_stand_beside_the_bars(see: See):
    header, row = show(see(1, [4, 4, 4, 0], dead_experts=0.25))
    assert header.split() == [
        "expert",
        "load,",
        "1.0",
        "=",
        "fair",
        "cv",
        "max",
        "n_eff",
        "dead",
        "drop",
    ]
    # cv = sqrt(4 * 3/9 - 1), largest load 4/3 of fair, n_eff = 3, a quarter of 4 experts
    assert row.split()[-6:] == ["0.58", "1.33", "3.0", "1", "0.0%", "balanced"]


def test_what_is_not_known_yet_is_a_dash(see: See):
    assert show(see(1, [4, 4]))[1].split()[-3:] == ["-", "0.0%", "balanced"]


def test_an_old_encoding_gets_ascii(see: See):
    shown = "\n".join(show(see(1, [4, 4, 4, 0]), encoding="latin-1"))
    assert shown.isascii()
    assert "0 ##" in shown  # 4/3 of the fair share


@pytest.mark.parametrize("n_layers", [12, 13])
def test_many_layers_are_cut_to_the_worst_eight(see: See, n_layers: int):
    layers = [[10 + i, 10] for i in range(n_layers)]  # the later, the worse
    shown = show(see(1, *layers))
    if n_layers == 12:
        assert [line.split()[0] for line in shown[1:]] == [f"L{i}" for i in range(12)]
    else:
        assert [line.split()[0] for line in shown[1:-1]] == [f"L{i}" for i in range(5, 13)]
        assert shown[-1] == "5 layers not shown: those above have the lowest n_eff"


def test_many_experts_are_cut_to_the_worst_eight_layers(see: See):
    result = see(1, *([[2 + i, *[2] * 64] for i in range(10)]))
    assert worst_layers(result.layers) == list(range(2, 10))


def test_a_model_without_experts_shows_no_table(see: See):
    assert show(see(1)) == []
