import io
import re
import sys

import pytest
from rich.console import Console

from moe_lab.progress import Bar, Lines, for_stderr


def lines(steps: int, *, first: int = 0, pause: float = 0) -> list[str]:
    written: list[str] = []
    with Lines(written.append, pause=pause) as reporter:
        reporter.start("runs/x", first, steps)
        for step in range(first + 1, steps + 1):
            reporter.step(step, 2.5, 3.14)
    return written


@pytest.mark.parametrize("steps", [1, 2, 19, 20, 21, 22, 23, 399, 10_000])
@pytest.mark.parametrize("share", [0, 0.37, 0.999])
def test_plain_progress_is_at_most_22_lines_with_its_first_and_last(steps: int, share: float):
    # one line at the start, and one is left for the run's path, which the command prints
    assert len(lines(steps, first=int(share * steps))) <= 21


def test_plain_progress_of_a_long_run_is_evenly_spread():
    shown = [line.split("  ")[0] for line in lines(10_000)]
    assert shown == ["runs/x", *(f"step {500 * n}/10000" for n in range(1, 20))]


def test_plain_progress_says_how_far_how_good_and_how_long():
    first, second, *_ = lines(100)
    assert first == "runs/x  steps 0/100"
    assert second.startswith("step 5/100  loss 2.500  worst n_eff 3.1  eta ")


def test_a_short_run_prints_its_start_alone():
    assert lines(400, pause=3600) == ["runs/x  steps 0/400"]


def test_plain_lines_go_to_stderr(capsys: pytest.CaptureFixture[str]):
    reporter = Lines(pause=0)
    reporter.start("runs/x", 0, 4)
    reporter.say("hello")
    assert capsys.readouterr() == ("", "runs/x  steps 0/4\nhello\n")


def bar(width: int, say: str) -> str:
    """What a terminal of a width is sent."""
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, width=width, color_system=None)
    with Bar(console) as reporter:
        reporter.start("runs/[red]x", 3, 10)
        reporter.step(5, 2.5, 3.14)
        reporter.say(say)
    return terminal.getvalue()


def test_the_bar_shows_loss_and_worst_n_eff():
    shown = bar(200, "")
    assert "5/10  loss 2.500  worst n_eff 3.1" in shown


def test_nothing_a_user_wrote_is_markup_on_a_terminal():
    shown = bar(200, "go on with: moe-lab resume runs/[red]x")
    assert "runs/[red]x" in shown
    assert "resume runs/[red]x\n" in shown


def test_a_line_that_is_said_is_not_broken_on_a_narrow_terminal():
    command = "go on with: moe-lab resume /a/long/path/to/the/runs/of/a/project"
    assert command in bar(30, command)


def test_a_bar_needs_a_terminal(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(for_stderr(), Lines)
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(for_stderr(), Bar)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(for_stderr(), Lines)


def coloured(monkeypatch: pytest.MonkeyPatch, **environment: str) -> bool:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    for name, value in {"TERM": "xterm-256color", **environment}.items():
        monkeypatch.setenv(name, value)
    with for_stderr() as reporter:
        reporter.start("runs/x", 0, 10)
        reporter.step(5, 2.5, 3.14)
    return bool(re.search(r"\x1b\[[\d;]*3\d", terminal.getvalue()))


def test_no_color_is_heeded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert coloured(monkeypatch)
    assert not coloured(monkeypatch, NO_COLOR="1")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True
