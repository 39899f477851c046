"""The report of a sweep as a person reads it."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from moe_lab.report import render
from moe_lab.report.pages import Note, Sheet
from moe_lab.report.sweep_pages import parts
from moe_lab.report.sweeps import Analysis

from .sweeps_by_hand import alphas, found, gaps, sweep

BOTH = {0.0: [0.30, 0.33, 0.33], 0.01: [0.20, 0.22, 0.24]}


def shown(analysis: Analysis, **options: Any) -> str:
    out = io.StringIO()
    console = Console(file=out, width=render.UNLIMITED, force_terminal=False)
    render.show(parts(analysis, **options), console)
    return out.getvalue()


def sheet(analysis: Analysis, **options: Any) -> Sheet:
    (table,) = (part for part in parts(analysis, **options) if isinstance(part, Sheet))
    return table


def column(analysis: Analysis, name: str, **options: Any) -> list[str]:
    table = sheet(analysis, **options)
    place = table.header.index(name)
    return [render.cell(row[place]) for row in table.rows]


def notes(analysis: Analysis) -> str:
    return "\n".join(part.text for part in parts(analysis) if isinstance(part, Note))


def test_the_header_says_what_was_swept_on_what():
    first, *lines = notes(gaps(BOTH)).splitlines()
    assert first == "sweep-alpha: 2 points x 3 seeds on collapse, 6 finished"
    assert lines[:3] == [
        "data: source domains, n_domains 8, vocab_size 256, common 0.5, zipf 1.2, seq_len 64",
        "model: n_layers 2, d_model 64; moe: n_experts 8, top_k 1, balance switch; "
        "train: steps 400, tokens_per_step 1536",
        "gap: nats per token above the Bayes predictor",
    ]
    assert notes(gaps({0.0: [0.5]})).startswith("sweep-alpha: 1 point x 1 seed on collapse, 1 ")


def test_a_table_of_points_by_hand():
    bad = {"cv": 0.75, "max_violation": 6.0, "n_eff": 1.5, "dead_experts": 0.5}
    results = {
        0.0: [found(gap, "collapsed", **bad) for gap in (0.30, 0.33, 0.33)],
        0.01: [found(gap) for gap in (0.20, 0.22, 0.24)],
    }
    table = sheet(alphas(results, baseline=1))
    assert table.header == (
        *("", "alpha", "n", "gap", "difference", "lower", "cv (floor 0.03)", "max_vio", "n_eff"),
        *("dead", "collapsed", "verdict"),
    )
    # half of the interval of .30, .33, .33: 4.302653 * .01; of .20, .22, .24: 4.302653 * .02 / sqrt 3 = .0497;
    # of the differences .10, .11, .09: .0248
    collapsed, balanced = ([render.cell(value) for value in row] for row in table.rows)
    assert collapsed[:6] == ["", "0", "3†", "0.320 +/- 0.043", "0.100 +/- 0.025", "0/3"]
    assert balanced[:6] == ["*^", "0.01", "3†", "0.220 +/- 0.050", "baseline", "-"]
    assert collapsed[6:] == ["0.75 +/- 0", "6", "1.5", "0.5", "3/3 (0.44 to 1)", "collapsed"]
    assert balanced[6:] == ["0.125 +/- 0", "0.25", "7.5", "0", "0/3 (0 to 0.56)", "balanced"]


def test_one_seed_prints_no_interval():
    text = shown(gaps({0.0: [0.5], 1.0: [0.25]}))
    rows = [line for line in text.splitlines() if "balanced" in line]
    assert len(rows) == 2
    assert not any("+/-" in row for row in rows)


@pytest.mark.parametrize(("n", "cell"), [(1, "1†"), (4, "4†"), (5, "5"), (6, "6")])
def test_fewer_than_five_seeds_carry_a_dagger(n: int, cell: str):
    assert column(gaps({0.0: [0.5] * n}), "n") == [cell]


def test_p_and_decision_appear_with_six_seeds():
    apart = {0.0: [0.5 + i / 100 for i in range(6)], 1.0: [0.25] * 6}
    assert column(gaps(apart), "p") == ["-", "0.03125"]
    assert column(gaps(apart), "decision") == ["-", "lower"]
    few = gaps({alpha: seeds[:5] for alpha, seeds in apart.items()})
    assert not {"p", "decision"} & set(sheet(few).header)
    assert "sign flips" in notes(gaps(apart))
    assert "sign flips" not in notes(few)


def test_p_is_the_adjusted_one():
    lower = [0.25 + i / 1000 for i in range(6)]
    two = gaps({0.0: [0.5] * 6, 1.0: lower, 2.0: lower})
    assert column(two, "p") == ["-", "0.0625", "0.0625"]  # 2 * 2 / 2^6
    assert column(two, "decision") == ["-", "undecided", "undecided"]


def test_failed_seeds_are_counted_in_a_column_and_listed_with_their_errors():
    analysis = alphas({0.0: [found(), "ValueError: odd\nmore"], 1.0: [found(), found()]})
    assert column(analysis, "failed") == ["1", "0"]
    assert column(analysis, "n") == ["1†", "2†"]
    assert "finished, 1 failed\n" in notes(analysis)
    assert "failed:\n  0.0-s1: ValueError: odd\n" in notes(analysis)
    assert "failed" not in sheet(gaps(BOTH)).header
    assert "failed" not in notes(gaps(BOTH))


def test_runs_to_come_are_counted():
    analysis = alphas({0.0: [found(), None], 1.0: [None, None]})
    assert "not finished: 3 pending" in notes(analysis)
    assert "not finished" not in notes(gaps(BOTH))


def test_a_sweep_that_has_only_begun_has_no_measures_to_explain():
    analysis = alphas({0.0: [None], 1.0: [None]})
    assert sheet(analysis).header == ("alpha", "n")
    assert "nats" not in notes(analysis)


def test_a_floor_that_differs_between_points_has_its_own_column():
    two = sweep([({"moe.n_experts": e}, [found(cv_floor=e / 100)] * 2) for e in (4, 8)])
    assert column(two, "floor") == ["0.04", "0.08"]
    assert "cv" in sheet(two).header
    assert "floor" not in sheet(gaps(BOTH)).header


def test_drops_are_shown_where_there_are_any():
    analysis = alphas({0.0: [found(dropped=0.0)], 1.0: [found(dropped=0.5)]})
    assert column(analysis, "dropped") == ["0", "0.5"]
    assert "dropped" not in sheet(gaps(BOTH)).header


def test_the_best_point_and_the_front_are_marked():
    places = {0.0: (0.5, 0.5), 0.1: (0.25, 0.25), 1.0: (0.5, 0.125)}
    analysis = alphas({a: [found(gap, cv=cv)] for a, (gap, cv) in places.items()})
    assert column(analysis, "") == ["", "*^", "^"]


def test_a_text_has_its_files_in_the_header_and_no_place(tmp_path: Path):
    for name in ("one.txt", "two.txt"):
        (tmp_path / name).write_text("some words of text\n" * 500)
    paths = f"path={{a: {tmp_path}/one.txt, b: {tmp_path}/two.txt}}"
    seeds = [found(None, lm_loss=2.5)] * 2
    analysis = alphas({0.0: seeds, 1.0: seeds}, on=("source=text", paths))
    text = shown(analysis)
    assert "data: source text, path a, b, seq_len 64\n" in text
    assert "\nlm_loss: nats per token\n" in text
    assert column(analysis, "lm_loss") == ["2.5 +/- 0"] * 2
    assert "gap" not in text
    assert str(tmp_path) not in text


def test_settings_are_shown_as_a_config_has_them():
    settings = {"moe.capacity_factor": None, "data.hidden_tag": True, "data.path": "/home/me/a.txt"}
    settings |= {"moe.balance": {"name": "switch", "scope": "sequence"}, "model.moe_layers": [0, 1]}
    text = shown(sweep([(settings, [found()])]))
    for word in ("null", "true", " a.txt ", "switch scope=sequence", " 0 1 "):
        assert word in text
    assert "/home" not in text


def test_a_header_without_common_data_begins_with_the_model():
    sources = [({"data.source": source}, [found()]) for source in ("domains", "clusters")]
    assert notes(sweep(sources)).splitlines()[1].startswith("model: n_layers 2")


def test_keys_that_end_in_the_same_word_are_written_out():
    keys = ("moe.router.name", "moe.balance.name")
    analysis = sweep([(dict.fromkeys(keys, "x"), [found()])])
    assert sheet(analysis).header[:2] == keys  # a single point has no marks


def test_collapse_is_said_to_end_for_each_combination_up_to_eight():
    def analysis(combinations: int) -> Analysis:
        return sweep(
            [
                ({"moe.alpha": alpha, "moe.top_k": k}, [found(verdict=verdict)])
                for k in range(combinations)
                for alpha, verdict in ((0.0, "collapsed"), (1.0, "balanced"))
            ]
        )

    sentence = "collapse ends between moe.alpha 0 and 1 in the median seed (1 seed)"
    assert f"\nmoe.top_k 7: {sentence}\n" in notes(analysis(8))
    assert "combinations" not in notes(analysis(8))
    assert notes(analysis(9)).count(sentence) == 8
    assert "(8 of 9 combinations; all are in the JSON)" in notes(analysis(9))


def test_times_are_shown_only_when_wanted():
    analysis = alphas({0.0: [found(tokens_per_s=1234.0)]})
    assert "tokens_per_s" not in sheet(analysis).header
    assert column(analysis, "tokens_per_s", with_times=True) == ["1234"]


def test_every_mark_of_the_table_is_explained_in_at_most_eight_lines():
    seeds = {a: [found(0.5 + a * i, dropped=0.5) for i in range(6)] for a in (0.0, 0.5)}
    *_, reading = (part for part in parts(alphas(seeds)) if isinstance(part, Note))
    for mark in ("+/-", "†", "*", "^", "difference", "lower", "p (sign", "decision", "cv", "floor"):
        assert mark in reading.text
    for name in ("max_vio", "n_eff", "dead", "dropped", "verdict", "collapsed"):
        assert name in reading.text
    assert len(reading.text.splitlines()) <= 8
    assert max(map(len, reading.text.splitlines())) <= 110


def test_the_table_of_the_alpha_sweep_fits_a_wide_terminal():
    results = {
        alpha: [
            found(0.27083 - 0.0123 * shift * i, "collapsed", cv=1.6138 - 0.1234 * shift * i)
            for i in range(3)
        ]
        for shift, alpha in enumerate((0.0, 0.001, 0.01, 0.1, 1.0))
    }
    text = shown(alphas(results, baseline=2))
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 140


def test_control_characters_of_an_error_are_shown_and_not_sent():
    assert "\x1b" not in shown(alphas({0.0: ["bad \x1b[2J"]}))


def test_the_order_in_which_runs_are_told_of_changes_no_byte():
    results = {0.0: [found(0.1), found(0.3), "x"], 1.0: [found(0.7), found(0.2), None]}
    assert shown(alphas(results)) == shown(alphas(results, backwards=True))


def test_markdown_has_the_same_table():
    lines = render.markdown(parts(gaps(BOTH))).splitlines()
    assert lines[0] == "### sweep-alpha: 2 points x 3 seeds on collapse, 6 finished"
    assert r"| \*^ | 0.01 | 3† | 0.220 +/- 0.050 |" in "\n".join(lines)
