import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from moe_lab import metrics
from moe_lab.progress.bars import ASCII, BLOCKS, bars, shown_layers, table

from .conftest import See, SeenLayer, SeenStep


def show(result: SeenStep, width: int = 120, height: int = 40, glyphs: str = BLOCKS) -> list[str]:
    verdicts = dict.fromkeys(result.layers, "balanced")
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=False)
    for part in table(result, verdicts, width=width, height=height, glyphs=glyphs):
        console.print(part)
    return file.getvalue().splitlines()


def names(lines: list[str]) -> list[str]:
    return [line.split()[0] for line in lines if line.startswith("L")]


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
    assert line == f"{bins}  most #5 17.5  least #0 0.0"
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
    assert show(see(1, [4, 4, 4, 0], dead_experts=0.25)) == [
        "    expert load, fair share ▅ = 1.0     cv    max  n_eff   dead   drop",
        # cv = sqrt(4 * 3/9 - 1), largest load 4/3 of fair, n_eff = 3, a quarter of 4 experts
        "L0  0 ▆▆  1 ▆▆  2 ▆▆  3 ··            0.58   1.33    3.0      1   0.0%  balanced",
    ]


def test_what_is_not_known_yet_is_a_dash(see: See):
    assert show(see(1, [4, 4]))[1].split()[-3:] == ["-", "0.0%", "balanced"]


def test_without_unicode_it_is_ascii(see: See):
    shown = "\n".join(show(see(1, [4, 4, 4, 0]), glyphs=ASCII))
    assert shown.isascii()
    assert "fair share * = 1.0" in shown
    assert "0 ##" in shown  # 4/3 of the fair share


@pytest.mark.parametrize(
    ("width", "numbers"),
    [
        (66, ["cv", "max", "n_eff", "dead", "drop"]),  # 4 + 16 + 5 * 7 + 11
        (65, ["cv", "max", "n_eff", "dead"]),
        (58, ["cv", "n_eff", "dead"]),
        (51, ["cv", "n_eff"]),
        (44, ["n_eff"]),
        (37, ["n_eff"]),
    ],
)
def test_a_narrow_table_has_fewer_numbers_and_always_the_verdict(
    see: See, width: int, numbers: list[str]
):
    title, row = show(see(1, [1] * 64), width)
    assert title.split()[-len(numbers) :] == numbers
    assert "load" in title
    assert row.endswith("  balanced")
    assert len(row) <= width


def test_the_layers_that_are_all_shown_are_in_their_order(see: See):
    layers = [[10 + i, 10] for i in range(12)]  # the later, the worse
    assert names(show(see(1, *layers))) == [f"L{i}" for i in range(12)]
    few = [[2 + i, *[2] * 64] for i in range(8)]
    assert names(show(see(1, *few))) == [f"L{i}" for i in range(8)]


def test_many_layers_are_cut_to_the_worst_eight_the_worst_first(see: See):
    shown = show(see(1, *([10 + i, 10] for i in range(13))))
    assert names(shown) == [f"L{i}" for i in range(12, 4, -1)]
    assert shown[-1] == "5 more layers not shown, none with a lower n_eff"


def test_many_experts_are_cut_to_the_worst_eight_layers(see: See):
    shown = show(see(1, *([2 + i, *[2] * 64] for i in range(9))))
    assert names(shown) == [f"L{i}" for i in range(8, 0, -1)]
    assert shown[-1] == "1 more layer not shown, none with a lower n_eff"


def test_a_low_terminal_shows_as_many_layers_as_fit_the_worst_first(see: See):
    result = see(1, *([10 + i, 10] for i in range(5)))
    assert names(show(result, height=6)) == ["L0", "L1", "L2", "L3", "L4"]
    for height in (5, 4, 3):  # a title, a count, and the rest are layers
        shown = show(result, height=height)
        assert len(shown) == height
        assert names(shown) == ["L4", "L3", "L2"][: height - 2]
    assert names(show(result, height=1)) == ["L4"]


@given(st.integers(1, 60), st.sampled_from([2, 8, 65]), st.integers(-5, 60))
def test_the_layers_shown_are_of_the_lowest_n_eff(n_layers: int, experts: int, height: int):
    rng = np.random.default_rng(n_layers)
    counts = rng.integers(1, 100, (n_layers, experts)).tolist()
    layers = {i: SeenLayer(layer) for i, layer in enumerate(counts)}
    shown = shown_layers(layers, height)
    worst = max(layers[i].n_eff for i in shown)
    assert all(layers[i].n_eff >= worst for i in layers if i not in shown)
    assert 1 <= len(shown) == len(set(shown))
    assert len(shown) <= max(1, height - 1)


def test_a_model_without_experts_shows_no_table(see: See):
    assert show(see(1)) == []
