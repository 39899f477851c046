import io
import re
import sys
from math import inf

import pytest
from rich.console import Console

from moe_lab.progress import JsonLines, Lines, Live, Messages, for_stderr

from .conftest import See, Terminal, story


def draw(see: See, width: int = 120, *, say: str = "", pause: float = 0) -> str:
    """What a terminal of a width is sent."""
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, width=width, color_system=None)
    with Live(console, pause, share=inf) as reporter:
        reporter.start(story("runs/[red]x", 3))
        for step in range(4, 9):
            result = see(step, [4, 4, 4, 0], [9, 1, 1, 1], dead_experts=0.25)
            reporter.step(result, elapsed_s=2 * step)
        if say:
            reporter.say(say)
    return terminal.getvalue()


def test_the_view_says_how_far_how_good_how_balanced_and_how_to_stop(see: See):
    shown = draw(see)
    assert re.search(r"\[red\]x  seed 0  cpu, 1 thread +step 8/10  80%  eta 0:04", shown)
    assert "loss 2.510   (lm 2.500 + aux 0.010)   50.0 tok/s   grad 0.84" in shown
    assert "L0  0 ▆▆  1 ▆▆  2 ▆▆  3 ··" in shown
    assert "Ctrl-C: saved, and can be resumed" in shown


def test_the_last_drawing_asks_for_nothing_and_has_no_eta(see: See):
    last = draw(see).rpartition("step 8/10")[2]
    assert last.startswith("  80%  in 0:16")
    assert "Ctrl-C" not in last


def test_a_held_out_loss_is_shown_with_its_step(see: See):
    terminal = io.StringIO()
    with Live(Console(file=terminal, force_terminal=True, width=120)) as reporter:
        reporter.start(story())
        reporter.evaluated(0, 2.0)
        reporter.step(see(1), 1.0)
    assert "val 2.000 @0   ppl 7.389" in terminal.getvalue()


def test_it_is_drawn_seldom_and_at_the_end(see: See):
    shown = draw(see, pause=3600)
    assert [step in shown for step in ("step 4/10", "step 5/10", "step 8/10")] == [
        True,
        False,
        True,
    ]


def test_a_collapse_is_a_word_after_its_fifty_steps(see: See):
    terminal = io.StringIO()
    with Live(Console(file=terminal, force_terminal=True, width=120), 0, share=inf) as reporter:
        reporter.start(story(steps=50))
        for step in range(1, 51):
            reporter.step(see(step, [8, 0, 0, 0]), step)
    before, _, last = terminal.getvalue().partition("step 50/50")
    assert "collapsed" in last
    assert "collapsed" not in before


def test_a_view_without_a_step_or_without_experts_is_no_error(see: See):
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, width=120, color_system=None)
    with Live(console):
        pass
    assert "step" not in terminal.getvalue()
    with Live(console) as reporter:
        reporter.start(story())
        reporter.step(see(1), 1.0)
    assert "step 1/10  10%" in terminal.getvalue()
    assert "expert load" not in terminal.getvalue()


def test_nothing_a_user_wrote_is_markup_on_a_terminal(see: See):
    shown = draw(see, say="go on with: moe-lab resume runs/[red]x")
    assert "resume runs/[red]x\n" in shown


def test_a_line_that_is_said_is_not_broken_on_a_narrow_terminal(see: See):
    command = "go on with: moe-lab resume /a/long/path/to/the/runs/of/a/project"
    assert command in draw(see, 30, say=command)


def test_a_story_that_was_told_is_drawn_at_once(see: See):
    known = story()
    known.step(see(7, [1, 1]), 7.0)
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, width=80)
    with Live(console, note="Ctrl-C: stop watching") as reporter:
        reporter.start(known)
        assert "step 7/10" in terminal.getvalue()
        assert "Ctrl-C: stop watching" in terminal.getvalue()


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_no_line_is_wider_than_the_terminal(see: See, width: int):
    plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", draw(see, width))
    assert max(len(line) for line in re.split(r"[\r\n]", plain)) <= width


# Which reporter


def test_the_mode_chooses_the_reporter():
    kinds = {"live": Live, "plain": Lines, "json": JsonLines, "none": Messages}
    for mode, kind in kinds.items():
        assert type(for_stderr(mode)) is kind


@pytest.mark.parametrize(
    ("environment", "kind"),
    [
        ({}, Live),
        ({"TERM": "dumb"}, Lines),
        ({"CI": "true"}, Lines),
        ({"TTY_INTERACTIVE": "0"}, Lines),
    ],
)
def test_a_view_needs_a_terminal_that_can_show_it(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], kind: type
):
    monkeypatch.delenv("CI", raising=False)
    for name, value in {"TERM": "xterm", **environment}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert type(for_stderr()) is kind
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert type(for_stderr()) is Lines


def coloured(see: See, monkeypatch: pytest.MonkeyPatch, **environment: str) -> bool:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.delenv("CI", raising=False)
    for name, value in {"TERM": "xterm-256color", **environment}.items():
        monkeypatch.setenv(name, value)
    with for_stderr() as reporter:
        reporter.start(story())
        reporter.step(see(5, [9, 1, 1, 1]), 5.0)
    assert "skewed" in terminal.getvalue()
    return bool(re.search(r"\x1b\[[\d;]*3\d", terminal.getvalue()))


def test_no_color_is_heeded(see: See, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert coloured(see, monkeypatch)
    assert not coloured(see, monkeypatch, NO_COLOR="1")
