"""Sweeps are told of by hand, at times that the tests choose."""

import io
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from moe_lab.progress.board import Board
from moe_lab.progress.canvas import minutes
from moe_lab.progress.facts import Row
from moe_lab.progress.sweep_live import SweepView, header
from moe_lab.progress.sweeps import (
    SweepJson,
    SweepLines,
    SweepLive,
    SweepMessages,
    SweepReporter,
    for_sweep,
)

from .conftest import Terminal


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def board(runs: int = 10, finished: int = 0) -> tuple[Board, Clock]:
    clock = Clock()
    started = Board(clock=clock)
    started.start("sweep-alpha", runs, finished)
    return started, clock


def follow(reporter: SweepReporter, clock: Clock, runs: int, state: str, seconds: float) -> None:
    """Every run does two steps, each of a given time, and ends."""
    reporter.start("sweep-alpha", runs, 0)
    for run in range(runs):
        reporter.begun(f"r{run}")
        for step in (1, 2):
            clock.now += seconds
            reporter.step(f"r{run}", step, 2, 2.5, 3.0)
        reporter.ended(f"r{run}", state, "no memory\nTraceback")


# How far, and how long


def test_the_share_counts_running_runs_by_their_steps():
    sweep, _ = board(runs=4, finished=1)
    sweep.begun("a")
    sweep.step("a", 1, 4, 2.5, None)
    sweep.begun("b")
    sweep.step("b", 2, 4, 2.5, None)
    assert sweep.share == (1 + 1 / 4 + 2 / 4) / 4


def test_the_eta_is_the_work_left_at_the_pace_of_this_session():
    sweep, clock = board(runs=10, finished=5)
    for step in range(1, 41):
        sweep.step("a", step, 40, 2.5, None)
    sweep.ended("a", "finished")
    sweep.step("b", 1, 2, 2.5, None)
    clock.now += 30
    # 1.5 runs in 30 s, and 10 - 5 - 1.5 = 3.5 are left: not 6.5 runs in 30 s
    assert sweep.eta_s == pytest.approx(20 * 3.5)


def test_the_steps_of_an_earlier_session_set_no_pace():
    sweep, clock = board(runs=2)
    sweep.step("a", 301, 400, 2.5, None)
    clock.now += 5
    sweep.step("a", 340, 400, 2.5, None)
    # 40 of 400 steps in 5 s are a tenth of a run; 60/400 of this run and all of the next are left
    assert sweep.eta_s == pytest.approx(50 * (0.15 + 1))
    sweep.ended("a", "finished")
    # 100 of 400 steps in 5 s: a run takes 20 s
    assert sweep.eta_s == pytest.approx(20)


def test_nothing_is_left_of_a_failed_run_and_its_steps_took_their_time():
    sweep, clock = board(runs=3)
    sweep.step("a", 1, 2, 2.5, None)
    sweep.ended("a", "failed", "no memory")
    clock.now += 10
    # half a run in 10 s, and two runs are left
    assert (sweep.share, sweep.eta_s) == (pytest.approx(1 / 3), pytest.approx(40))


def test_an_interrupted_run_begins_again_where_it_is_told_to():
    sweep, clock = board(runs=2)
    for step in range(1, 9):
        sweep.step("a", step, 10, 2.5, None)
    sweep.ended("a", "interrupted")
    assert sweep.counts("running", "interrupted") == ", 1 interrupted"
    sweep.begun("a")
    assert sweep.counts("running", "interrupted") == ", 1 running"
    sweep.step("a", 5, 10, 2.5, None)  # from its checkpoint of step 4
    clock.now += 10
    assert (sweep.share, sweep.eta_s) == (0.25, pytest.approx(10 / 0.5 * 1.5))


def test_what_a_watched_sweep_had_done_before_sets_no_pace():
    clock = Clock()
    sweep = Board(clock=clock)
    known = [
        Row("a", "finished", 400, 400, 400, 2.5),
        Row("b", "running", 100, 400, 100, 2.6),
        Row("c", "failed", error="no memory"),
    ]
    sweep.start("sweep-alpha", 8, 1, known)
    assert (sweep.finished, sweep.share) == (1, (1 + 1 / 4 + 1) / 8)
    assert sweep.eta_s is None
    sweep.step("b", 300, 400, 2.5, None)
    clock.now += 10
    # half a run in 10 s; of eight runs 8 - 2 - 3/4 are left
    assert sweep.eta_s == pytest.approx(20 * 5.25)
    assert header(sweep).endswith("eta 1:45  (0:10 watched)")
    assert header(sweep, passing=False) == "sweep-alpha  1 of 8 finished, 1 failed, 1 running  34%"
    assert [line.split()[0] for line in shown(sweep)[2:]] == ["b", "c", "no", "a"]  # c: no memory


def test_there_is_no_eta_before_two_percent_or_a_minute():
    sweep, clock = board(runs=1)
    clock.now += 60
    assert sweep.eta_s is None  # nothing is done
    sweep, clock = board(runs=1)
    clock.now += 4
    sweep.step("a", 1, 100, 2.5, None)
    assert sweep.eta_s is None
    sweep.step("a", 2, 100, 2.5, None)
    assert sweep.eta_s == pytest.approx(4 / 0.02 * 0.98)
    sweep, clock = board(runs=100)
    sweep.step("a", 1, 100, 2.5, None)
    clock.now += 59
    assert sweep.eta_s is None
    clock.now += 1
    assert sweep.eta_s == pytest.approx(60 / 1e-4 * (1 - 1e-4))


STATES = st.sampled_from(["finished", "failed", "diverged", "stopped", "interrupted"])
TOLD = st.one_of(
    st.tuples(st.just("begun")),
    st.tuples(st.just("step"), st.integers(1, 8), st.just(8), st.floats(0, 9), st.none()),
    st.tuples(st.just("ended"), STATES),
)


@given(st.lists(st.tuples(st.sampled_from("abcde"), TOLD)))
def test_the_share_is_a_share_and_no_time_is_negative(told: list[tuple[str, tuple[Any, ...]]]):
    sweep, clock = board(runs=6, finished=1)
    for run, (event, *values) in told:
        getattr(sweep, event)(run, *values)
        clock.now += 1
        assert 1 / 6 <= sweep.share <= 1
        assert sweep.eta_s is None or sweep.eta_s >= 0


def test_a_time_has_hours_from_one_hour_on():
    assert [minutes(s) for s in (0, 59.6, 125, 3599, 3600, 36_125)] == [
        *("0:00", "1:00", "2:05"),
        *("59:59", "1:00:00", "10:02:05"),
    ]


# The table of a terminal


def shown(sweep: Board, width: int = 80, height: int = 40, encoding: str = "utf-8") -> list[str]:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    Console(file=file, width=width, height=height, force_terminal=False).print(SweepView(sweep))
    file.seek(0)
    return file.read().splitlines()


def test_the_header_says_how_far_and_how_long():
    sweep, clock = board(runs=15, finished=7)
    assert header(sweep) == "sweep-alpha  7 of 15 finished  47%  eta -  (0:00 so far)"
    sweep.ended("a", "failed")
    sweep.step("b", 1, 2, 2.5, None)
    sweep.step("c", 1, 2, 2.5, None)
    clock.now += 125
    # one run's work in 125 s, and 15 - 7 - 2 = 6 runs are left: 750 s; (7 + 2) / 15 = 60 %
    assert header(sweep) == (
        "sweep-alpha  7 of 15 finished, 1 failed, 2 running  60%  eta 12:30  (2:05 so far)"
    )


def test_running_runs_come_first_then_failed_then_the_lowest_loss():
    sweep, _ = board()
    for run, loss, state in [
        *(("good", 2.1, "finished"), ("bad", 2.9, "finished"), ("best", 2.0, "finished")),
        *(("away", 1.0, "interrupted"), ("nan", 9.0, "diverged"), ("dead", 1.0, "failed")),
    ]:
        sweep.step(run, 1, 400, loss, 3.0)
        sweep.ended(run, state)
    sweep.begun("new")
    sweep.step("on", 12, 400, 2.6, None)
    names = [line.split()[0] for line in shown(sweep, width=200)[2:]]
    assert names == ["new", "on", "nan", "dead", "away", "best", "good", "bad"]


def test_a_row_has_the_numbers_of_the_last_step_told_and_a_failure_its_error():
    sweep, _ = board()
    sweep.step("alpha-0-s0", 12, 400, 2.3456, 3.14)
    sweep.step("alpha-1-s0", 7, 400, 2.5, None)
    sweep.begun("alpha-2-s0")
    sweep.ended("alpha-2-s0", "failed", "\nout of memory\nat step 3")
    assert shown(sweep)[1:] == [
        "run         state      step  lm_loss  n_eff_worst",
        "alpha-0-s0  running  12/400    2.346          3.1",
        "alpha-1-s0  running   7/400    2.500            -",
        "alpha-2-s0  failed        -        -            -",
        "  out of memory",
    ]


def test_a_thousand_runs_are_twenty_rows_and_a_count():
    sweep, _ = board(runs=3000, finished=500)
    for run in range(1000):
        sweep.step(f"r{run}", 400, 400, 3 - run / 1000, 3.0)
        sweep.ended(f"r{run}", "finished")
    _, _, *rows, last = shown(sweep)
    assert [row.split()[0] for row in rows] == [f"r{run}" for run in range(999, 979, -1)]
    assert last == "1480 more runs not shown"


def test_a_low_terminal_shows_fewer_runs():
    sweep, _ = board(runs=30)
    for run in range(12):
        sweep.ended(f"r{run}", "failed", "no memory")
    lines = shown(sweep, height=24)
    # 24 - 5 = 19 lines hold nine runs of two
    assert len(lines) == 1 + 1 + 9 * 2 + 1
    assert lines[-1] == "3 more runs not shown"


def test_long_names_are_folded_and_numbers_are_whole_at_eighty_columns():
    sweep, _ = board(runs=1000, finished=123)
    name = "balance-loss_free-n_experts-16-top_k-2-alpha-0.00001-capacity_factor-1.25-s17"
    sweep.step(name, 123_456, 200_000, 1234.5678, 127.94)
    sweep.ended(name, "diverged", "the loss became nan " * 10)
    lines = shown(sweep)
    assert max(map(len, lines)) <= 80
    assert lines[2].split()[1:] == ["diverged", "123456/200000", "1234.568", "127.9"]
    rest = next(i for i, line in enumerate(lines) if line.startswith("  the loss"))
    assert "".join([lines[2].split()[0], *lines[3:rest]]) == name


@given(st.integers(40, 200), st.integers(1, 300))
def test_names_are_whole_and_no_line_is_wider_than_the_terminal(width: int, length: int):
    sweep, _ = board()
    sweep.step("N" * length, 400, 400, 2.5, 3.0)
    sweep.ended("N" * length, "failed", "e" * length)
    lines = shown(sweep, width, height=400)
    assert max(map(len, lines)) <= width
    assert "".join(lines).count("N") == length


def test_a_sweep_is_ascii():
    sweep, _ = board()
    for run, state in enumerate(["finished", "failed", "diverged", "stopped", "interrupted"]):
        sweep.step("long" * 30 + str(run), 1, 2, 2.5, 3.0)
        sweep.ended("long" * 30 + str(run), state, "why " * 50)
    assert all(line.isascii() for line in shown(sweep, encoding="latin-1", height=12))


# On a terminal


def live(clock: Clock, tell: Callable[[SweepLive], None], title: str = "sweep-[red]") -> str:
    """What a terminal of 80 columns is sent."""
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, width=80, color_system=None)
    with SweepLive(console, clock=clock) as reporter:
        reporter.start(title, 3, 0)
        tell(reporter)
    return terminal.getvalue()


def test_it_is_drawn_four_times_a_second_and_at_the_end():
    clock = Clock()

    def tell(reporter: SweepLive) -> None:
        for step in range(1, 104):  # a step every 1/64 s
            clock.now += 1 / 64
            reporter.step("a", step, 400, 2.5, 3.0)

    drawn = re.findall(r"(\d+)/400", live(clock, tell))
    assert drawn == ["16", "32", "48", "64", "80", "96", "103"]


def test_what_is_said_stays_above_and_is_no_markup():
    sent = live(Clock(), lambda reporter: reporter.say("go on with: moe-lab resume [red]x"))
    said, _, after = sent.partition("go on with: moe-lab resume [red]x\n")
    assert "sweep-[red]" in said
    assert "sweep-[red]" in after


def test_a_header_without_room_is_folded_also_while_something_is_said():
    def tell(reporter: SweepLive) -> None:
        reporter.ended("a" * 40, "failed")
        reporter.say("warning: " + "x" * 100)

    title = "sweep-" + "t" * 40
    sent = live(Clock(), tell, title)
    assert "x" * 100 in sent
    assert sent.count(title) == sent.count("so far)") == 3


def test_a_sweep_that_never_starts_shows_nothing():
    terminal = io.StringIO()
    with SweepLive(Console(file=terminal, force_terminal=True)) as reporter:
        reporter.say("refused")
    assert "finished" not in terminal.getvalue()


def test_a_state_is_a_word_and_its_colour_is_left_out_on_request(monkeypatch: pytest.MonkeyPatch):
    def sent() -> str:
        terminal = io.StringIO()
        console = Console(file=terminal, force_terminal=True, color_system="standard", width=80)
        with SweepLive(console) as reporter:
            reporter.start("sweep", 3, 0)
            reporter.ended("a", "failed", "no memory")
        assert "failed" in terminal.getvalue()
        return terminal.getvalue()

    monkeypatch.delenv("NO_COLOR", raising=False)
    assert re.search(r"\x1b\[[\d;]*3\d", sent())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[\d;]*3\d", sent())


# Plain lines


@given(
    runs=st.integers(1, 100),
    state=st.sampled_from(["finished", "failed", "diverged"]),
    seconds=st.floats(0, 100),
)
def test_plain_lines_are_bounded_whatever_the_runs(runs: int, state: str, seconds: float):
    written: list[str] = []
    clock = Clock()
    follow(SweepLines(written.append, clock), clock, runs, state, seconds)
    assert sum("eta" in line for line in written) <= 20
    assert len(written) <= 1 + 20 + 20 + 1


def test_a_thousand_failed_runs_are_42_lines_at_most():
    written: list[str] = []
    clock = Clock()
    follow(SweepLines(written.append, clock), clock, 1000, "failed", 60)
    failed = [line for line in written if line.startswith("failed: ")]
    assert failed == [f"failed: r{run}: no memory" for run in range(20)]
    assert (
        sum("more failed runs are not shown here: moe-lab report" in line for line in written) == 1
    )
    assert len(written) <= 42


def test_plain_progress_says_how_far_and_how_long():
    written: list[str] = []
    clock = Clock()
    reporter = SweepLines(written.append, clock)
    reporter.start("sweep-alpha", 15, 5)
    reporter.ended("a", "failed")
    for run in "bc":
        reporter.begun(run)
        clock.now += 10
        reporter.step(run, 1, 1, 2.5, None)
        reporter.ended(run, "finished")
    # after 10 s the step of a first run is done, not yet the run: 1 run in 10 s, 15 - 5 - 1 - 1 = 8 are left
    # after 20 s: 2 runs in 20 s, 7 are left
    assert written == [
        "sweep-alpha  5 of 15 runs finished",
        "failed: a",
        "5 of 15 runs finished, 1 failed, eta 80 s",
        "6 of 15 runs finished, 1 failed, eta 70 s",
    ]


def test_plain_progress_is_ten_seconds_apart_and_by_share():
    written: list[str] = []
    clock = Clock()
    follow(SweepLines(written.append, clock), clock, 100, "finished", 1)  # 200 s
    times = [int(re.findall(r"eta (\d+) s", line)[0]) for line in written if "eta" in line]
    assert times == list(range(190, 0, -10))
    quick: list[str] = []
    follow(SweepLines(quick.append, clock), clock, 100, "finished", 0.04)  # 8 s
    assert quick == ["sweep-alpha  0 of 100 runs finished"]


# JSON, and where it all goes


def test_each_event_is_a_json_object_on_a_line():
    written: list[str] = []
    clock = Clock()
    reporter = SweepJson(written.append, clock)
    follow(reporter, clock, 1, "failed", 1)
    reporter.say('a "quoted"\nline')
    step = {"event": "step", "run": "r0", "steps": 2, "lm_loss": 2.5, "n_eff_worst": 3.0}
    assert [json.loads(line) for line in written] == [
        {"event": "start", "sweep": "sweep-alpha", "runs": 1, "finished": 0},
        {"event": "begun", "run": "r0"},
        {**step, "step": 1},
        {**step, "step": 2},
        {"event": "ended", "run": "r0", "state": "failed", "detail": "no memory\nTraceback"},
        {"event": "message", "text": 'a "quoted"\nline'},
    ]


def test_steps_are_at_most_four_objects_a_second():
    written: list[str] = []
    clock = Clock()
    reporter = SweepJson(written.append, clock)
    for step in range(1, 129):  # 4 runs, each with 32 steps a second, for 4 s
        clock.now += 1 / 32
        for run in "abcd":
            reporter.step(run, step, 128, 2.5, None)
    assert len(written) == 16


@pytest.mark.parametrize("mode", ["live", "plain", "json", "none"])
def test_nothing_goes_to_stdout(mode: str, capsys: pytest.CaptureFixture[str]):
    with for_sweep(mode) as reporter:
        reporter.start("sweep-alpha", 2, 0)
        reporter.begun("a")
        reporter.step("a", 1, 2, 2.5, 3.0)
        reporter.ended("a", "finished")
        reporter.say("hello")
    seen = capsys.readouterr()
    assert seen.out == ""
    assert "hello" in seen.err
    assert mode != "none" or seen.err == "hello\n"


def test_the_mode_chooses_the_reporter(monkeypatch: pytest.MonkeyPatch):
    kinds = {"live": SweepLive, "plain": SweepLines, "json": SweepJson, "none": SweepMessages}
    for mode, kind in kinds.items():
        assert type(for_sweep(mode)) is kind
        assert isinstance(for_sweep(mode), SweepReporter)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert type(for_sweep()) is SweepLive
    monkeypatch.setenv("CI", "true")
    assert type(for_sweep()) is SweepLines
