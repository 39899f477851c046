import io
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from moe_lab.report import pages, render
from moe_lab.report.outcomes import Glance
from moe_lab.report.summary import summarize


def shown(*summaries: dict[str, Any], width: int = render.UNLIMITED) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=False)
    if len(summaries) == 1:
        render.one(summaries[0], console)
    else:
        render.show(pages.several([Glance.of(summary) for summary in summaries]), console)
    return out.getvalue()


def cells(text: str, first: str) -> list[str]:
    """The cells of the table row that begins with a word, apart by two spaces or more."""
    line = next(line for line in text.splitlines() if line.strip().startswith(first))
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


@pytest.fixture(scope="module")
def found(finished: Path) -> dict[str, Any]:
    return summarize(finished)


def test_a_report_begins_with_the_verdict_and_its_evidence(found: dict[str, Any]):
    first, *evidence = shown(found).splitlines()[:3]
    assert first == f"small: {found['verdict']}  (finished, 10 of 10)"
    assert evidence == [f"  {course['sentence']}" for course in found["evidence"]]


def test_the_loss_stands_under_the_ladder(found: dict[str, Any]):
    names = [line.split("  ")[0].strip() for line in shown(found).splitlines()]
    start = names.index("uniform")
    assert names[start : start + 4] == ["uniform", "unigram", "bigram", "bayes"]
    assert names.index("lm_loss") > start + 3
    assert cells(shown(found), "uniform")[1] == "3.466"  # ln 32
    nats, bits = (float(cells(shown(found), name)[1]) for name in ("lm_loss", "in bits"))
    assert bits == pytest.approx(nats / 0.693147, abs=1e-3)


def test_balance_stands_per_layer_then_mean_and_worst(found: dict[str, Any]):
    text = shown(found)
    assert cells(text, "balance per layer")[1:] == ["0", "1", "mean", "worst", "floor"]
    for name in ("cv", "n_eff"):
        numbers = [*(row[name] for row in found["balance"]), found["floors"][name]]
        assert cells(text, name)[1:] == [f"{number:.4g}" for number in numbers]
    assert cells(text, "router_entropy")[-2:] == ["-", "-"]
    assert "cv_floor" not in text


def test_what_was_not_measured_is_a_dash(found: dict[str, Any]):
    blank = {**found, "verdict": None, "balance": [], "throughput": {}}
    blank["auxiliary"] = {
        **{"balance": "switch", "alpha": 0.0, "aux_over_lm": None},
        **{"router_grad_share": {"0": None}, "router_grad_step": None},
    }
    blank["loss"] = {"ladder": []}
    text = shown(blank)
    assert text.startswith("small: no verdict yet  (finished, 10 of 10)\n")
    assert cells(text, "aux_loss / lm_loss")[1] == "-"
    assert "layer 0 -" in text
    assert not re.search(r"\b(nan|None)\b", text)


def test_an_evaluation_that_is_not_finite_is_a_dash(found: dict[str, Any]):
    loss = {"ladder": [], "step": 10.0, "lm_loss": None, "gap": None, "nmi": None}
    text = shown({**found, "loss": loss})
    assert cells(text, "lm_loss")[1:] == ["-", "held-out, step 10"]
    assert cells(text, "in bits")[1] == "-"


def test_runs_stand_side_by_side_with_what_differs(found: dict[str, Any]):
    other = {**found, "name": "other", "state": "running", "step": 7}
    other["config"] = {**found["config"], "seed": 1, "train": {"lr": 1.0}}
    text = shown(found, other)
    assert cells(text, "small") == ["small", "other"]
    assert cells(text, "steps") == ["steps", "finished, 10 of 10", "running, 7 of 10"]
    assert cells(text, "seed") == ["seed", "0", "1"]
    assert "d_model" not in text
    assert cells(text, "worst layer")[1:] == [str(found["worst_layer"])] * 2
    assert pages.ONE_RUN in text


def test_rows_drawn_at_once_look_as_if_drawn_one_by_one(found: dict[str, Any]):
    rows = ((), ("a", 1.0, ""), ("界", None, "x"), (), ("  b ", "", ""), ())
    sheets = [pages.Sheet(("", "one", "two"), rows), pages.Sheet(("none",), ())]
    parts = [*sheets, *pages.one(found), *pages.several([Glance.of(found)] * 9)]
    for sheet in (part for part in parts if isinstance(part, pages.Sheet)):
        one_by_one, at_once = io.StringIO(), io.StringIO()
        Console(file=one_by_one, width=1000).print(render._table(sheet))
        render.show([sheet], Console(file=at_once, width=1000))
        assert at_once.getvalue() == one_by_one.getvalue()


@pytest.mark.parametrize("number", [2, 3, 12])
def test_no_run_is_cut_off(found: dict[str, Any], number: int):
    names = [f"{chr(97 + i) * 60}{i:02d}" for i in range(number)]
    text = shown(*({**found, "name": name} for name in names))
    assert "…" not in text
    assert all(name in text for name in names)


def test_on_a_narrow_terminal_cells_are_folded_and_not_cut(found: dict[str, Any]):
    text = shown(found, {**found, "name": "b" * 50}, width=60)
    assert "…" not in text
    assert text.count("b") >= 50


@pytest.mark.parametrize("label", ["[red]", "[/]", "[link=http://x]y[/link]", ":smile:"])
def test_what_looks_like_markup_is_shown_as_it_is(found: dict[str, Any], label: str):
    config = {**found["config"], "data": {"path": label}}
    text = shown({**found, "name": label}, {**found, "config": config})
    assert cells(text, label) == [label, "small"]
    assert cells(text, "data.path") == ["data.path", "-", label]
    assert label in shown({**found, "provenance": {"command": ["train", label]}})


def test_control_characters_are_shown_and_not_sent(found: dict[str, Any]):
    text = shown({**found, "provenance": {"command": ["\x1b[2J", "\a", "a\nb"]}})
    assert r"\x1b[2J \x07 a\nb" in text
    assert "\x1b" not in text


def test_numbers_have_four_digits_and_large_ones_are_grouped(found: dict[str, Any]):
    throughput = {"tokens_per_s": 1234567.8, "step_ms": 0.000123456, "elapsed_s": 12.34567}
    text = shown({**found, "throughput": throughput})
    assert cells(text, "tokens_per_s")[1] == "1,234,568"
    assert cells(text, "step_ms")[1] == "0.0001235"
    assert cells(text, "elapsed_s")[1] == "12.35"


def test_a_run_that_is_named_like_markup_in_its_first_line(found: dict[str, Any]):
    assert shown({**found, "name": "[red]x"}).startswith("[red]x: ")


# Many layers


def deep(found: dict[str, Any], n_layers: int) -> dict[str, Any]:
    """A run of which the later layers are the worse."""
    first, *_, mean, worst = found["balance"]
    courses = [{**found["evidence"][0], "layer": i, "end": 50.0 - i} for i in range(n_layers)]
    evidence = [{**course, "sentence": f"layer {course['layer']} fell"} for course in courses]
    layers = [{**first, "layer": i} for i in range(n_layers)]
    return {**found, "evidence": evidence, "balance": [*layers, mean, worst], "router": []}


def on_terminal(summary: dict[str, Any], width: int, *, all_layers: bool = False) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=True, color_system=None)
    render.one(summary, console, all_layers=all_layers)
    return out.getvalue()


def layers_shown(text: str) -> list[str]:
    return [name for name in cells(text, "balance per layer")[1:] if name.isdecimal()]


def test_a_terminal_shows_the_worst_eight_layers_in_their_order(found: dict[str, Any]):
    text = on_terminal(deep(found, 48), 200)
    assert layers_shown(text) == [str(i) for i in range(40, 48)]
    assert "40 layers not shown, use --all-layers\n" in text
    assert "layer 40 fell" in text
    assert "layer 39 fell" not in text


def test_a_narrow_terminal_shows_as_many_of_the_worst_as_fit(found: dict[str, Any]):
    few = layers_shown(on_terminal(deep(found, 48), 80))
    assert 1 <= len(few) < 8
    assert few[-1] == "47"
    assert on_terminal(deep(found, 48), 30).count(" fell") == 1


@pytest.mark.parametrize("width", [120, 200])
def test_layers_that_fit_are_all_shown(found: dict[str, Any], width: int):
    text = on_terminal(deep(found, 4), width)
    assert layers_shown(text) == ["0", "1", "2", "3"]
    assert "not shown" not in text


def test_all_layers_are_shown_on_demand_and_off_a_terminal(found: dict[str, Any]):
    assert len(layers_shown(shown(deep(found, 48)))) == 48
    text = on_terminal(deep(found, 12), 60, all_layers=True)
    assert text.count(" fell") == 12
    assert "not shown" not in text


# Markdown


def test_markdown_is_a_github_table():
    sheet = pages.Sheet(("a", "b"), ((1, None), (), (0.5, "x")))
    assert render.markdown([sheet]) == "| a | b |\n| --- | ---: |\n| 1 | - |\n| 0.5 | x |\n"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a|b", r"a\|b"),
        ("<b>&amp;", r"\<b\>\&amp;"),
        ("*x* `y`", r"\*x\* \`y\`"),
        ("[l](u) ~s~ #1", r"\[l\](u) \~s\~ \#1"),
        ("n_eff _i_ __b__", r"n_eff \_i\_ \_\_b\_\_"),
        ("a\nb\x1b", r"a\\nb\\x1b"),
        ("\\", r"\\"),
    ],
)
def test_nothing_a_user_wrote_is_markdown(text: str, escaped: str):
    sheet = pages.Sheet((text,), ((text,),))
    assert render.markdown([sheet]) == f"| {escaped} |\n| --- |\n| {escaped} |\n"
