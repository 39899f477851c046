"""A run is watched while it seems to be written."""

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from conftest import edit

from moe_lab.errors import ArtefactError
from moe_lab.store.lock import Lock
from moe_lab.watch import watch

from .conftest import Growing, meanwhile, nothing

RUN = Path("run")


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def contents(directory: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


# Drawn once


def test_a_finished_run_is_drawn_once_on_stdout(finished: Path, capsys: pytest.CaptureFixture[str]):
    assert watch(finished, tempo=meanwhile()) == 0
    out, err = capsys.readouterr()
    header, losses, title, first, second, courses, state = out.splitlines()
    assert header.startswith("small  seed 0  cpu, 1 thread  ")
    assert "step 10/10  100%  in 0:0" in header
    assert losses.startswith("loss ")
    assert "@10   ppl " in losses
    assert title.startswith("    expert load, fair share ▅ = 1.0")
    assert [first[:4], second[:4]] == ["L0  ", "L1  "]
    assert courses.startswith("worst cv ")
    assert state == f"{finished} is finished"
    assert err == ""
    assert max(map(len, out.splitlines()[:-1])) <= 100


def test_a_stopped_run_says_how_it_goes_on(stopped: Path, capsys: pytest.CaptureFixture[str]):
    assert watch(stopped, "live", tempo=meanwhile()) == 0
    out = capsys.readouterr().out
    assert "step 6/10  60%  in 0:0" in out
    last = out.splitlines()[-1]
    assert last == f"{stopped} is stopped: SIGTERM; go on with: moe-lab resume {stopped}"


def test_a_run_whose_process_is_gone_is_interrupted(
    growing: Growing, capsys: pytest.CaptureFixture[str]
):
    growing.grow(4)
    growing.leave()
    assert watch(RUN, tempo=meanwhile(*[nothing] * 8)) == 0  # 2 s in which a row could come
    *_, last = capsys.readouterr().out.splitlines()
    assert last == "run is interrupted: no process writes it; go on with: moe-lab resume run"


def test_a_run_of_another_machine_whose_lock_is_not_seen_is_followed(
    growing: Growing, capsys: pytest.CaptureFixture[str]
):
    growing.leave()
    tempo = meanwhile(*[nothing] * 7, lambda: growing.grow(5), growing.finish)
    assert watch(RUN, "json", tempo=tempo) == 0
    told = events(capsys.readouterr().err)
    assert (told[0]["event"], told[0]["step"]) == ("start", 5)
    assert told[-1]["text"] == "run is finished"


def test_a_running_run_is_drawn_once_on_request(
    growing: Growing, capsys: pytest.CaptureFixture[str]
):
    growing.grow(4)
    assert watch(RUN, once=True, tempo=meanwhile()) == 0
    header, *_, last = capsys.readouterr().out.splitlines()
    assert "step 4/10  40%  eta 0:0" in header
    assert last == "run is running"


def test_a_run_before_its_first_step_has_its_state_alone(
    growing: Growing, capsys: pytest.CaptureFixture[str]
):
    assert watch(RUN, once=True, tempo=meanwhile()) == 0
    assert capsys.readouterr() == ("run is running\n", "")


def test_once_as_json(growing: Growing, capsys: pytest.CaptureFixture[str]):
    growing.grow(4)
    assert watch(RUN, "json", once=True, tempo=meanwhile()) == 0
    out, err = capsys.readouterr()
    start, step, message = events(err)
    assert (out, start["step"], start["steps"], step["step"]) == ("", 4, 10, 4)
    assert message["text"] == "run is running"


def test_without_progress_the_state_is_still_said(
    finished: Path, capsys: pytest.CaptureFixture[str]
):
    assert watch(finished, "none", tempo=meanwhile()) == 0
    assert capsys.readouterr() == ("", f"{finished} is finished\n")


def test_a_run_of_somebody_elses_loop_has_no_length_and_cannot_be_gone_on_with_here(
    stopped: Path, capsys: pytest.CaptureFixture[str]
):
    edit(stopped / "run.json", kind="monitor")
    assert watch(stopped, tempo=meanwhile()) == 0
    header, losses, *_, last = capsys.readouterr().out.splitlines()
    assert header.startswith("small  cpu, 1 thread  ")
    assert "  step 6  in 0:0" in header
    assert " ms/step" in losses
    assert last == f"{stopped} is stopped: SIGTERM"


# Followed


def test_a_run_is_followed_to_its_end(growing: Growing, capsys: pytest.CaptureFixture[str]):
    growing.grow(3)
    tempo = meanwhile(
        nothing, lambda: growing.grow(5), *[nothing] * 9, lambda: growing.grow(6), growing.finish
    )
    assert watch(RUN, "json", tempo=tempo) == 0
    out, err = capsys.readouterr()
    told = events(err)
    assert out == ""
    assert (told[0]["step"], told[0]["steps"], told[0]["seed"]) == (3, 10, 0)
    assert [event["step"] for event in told if event["event"] == "evaluated"] == [5, 10]
    assert [event["step"] for event in told if event["event"] == "step"][-1] == 10
    assert told[-1]["text"] == "run is finished"


def test_without_a_terminal_there_is_a_picture_and_then_lines(
    growing: Growing, capsys: pytest.CaptureFixture[str]
):
    growing.grow(3)
    assert watch(RUN, "plain", tempo=meanwhile(growing.finish)) == 0
    out, err = capsys.readouterr()
    assert "step 3/10  30%" in out
    assert err.splitlines() == ["run  steps 3/10", "run is finished"]


def test_on_a_terminal_the_view_is_drawn_to_the_end(
    growing: Growing, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    growing.grow(3)
    assert watch(RUN, "live", tempo=meanwhile(growing.finish)) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "step 3/10" in err
    assert "Ctrl-C: stop watching" in err
    assert "step 10/10" in err.rpartition("run is finished")[2]


def test_a_run_that_diverges_meanwhile_says_why(
    growing: Growing, capsys: pytest.CaptureFixture[str]
):
    def diverge() -> None:
        growing.status("diverged", reason="the loss became nan at step 4")
        growing.leave()

    growing.grow(4)
    growing.grow(3, "timing")
    assert watch(RUN, "json", tempo=meanwhile(diverge, *[nothing] * 4)) == 0
    told = events(capsys.readouterr().err)
    assert (told[0]["step"], told[-2]["step"]) == (3, 4)
    assert told[-1]["text"] == (
        "run is diverged: the loss became nan at step 4; go on with: moe-lab resume run"
    )


def test_a_run_that_goes_back_is_told_anew(growing: Growing, capsys: pytest.CaptureFixture[str]):
    growing.grow(8)
    assert watch(RUN, "json", tempo=meanwhile(lambda: growing.grow(4), growing.finish)) == 0
    told = events(capsys.readouterr().err)
    assert [event["step"] for event in told if event["event"] == "start"] == [8, 4]
    (message,) = [event["text"] for event in told if "back" in event.get("text", "")]
    assert message == "it went back to step 4, and on from there"


def test_a_run_that_goes_back_before_anything_is_shown_is_read_anew(
    growing: Growing, capsys: pytest.CaptureFixture[str]
):
    growing.grow(8)
    growing.leave()
    assert watch(RUN, "json", tempo=meanwhile(lambda: growing.grow(4), growing.finish)) == 0
    start, *_, message = events(capsys.readouterr().err)
    assert (start["step"], message["text"]) == (10, "run is finished")


def test_a_folder_that_goes_away_meanwhile_is_an_error(growing: Growing):
    growing.grow(4)
    with pytest.raises(ArtefactError, match="run is gone: it was moved or removed"):
        watch(RUN, "none", tempo=meanwhile(lambda: shutil.rmtree(growing.directory)))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_watch_and_not_the_run(growing: Growing, number: signal.Signals):
    growing.grow(4)
    before = contents(growing.directory)
    stop = meanwhile(nothing, lambda: os.kill(os.getpid(), number))
    assert watch(RUN, "none", tempo=stop) == 128 + number
    assert contents(growing.directory) == before


def test_nothing_is_locked_or_written(growing: Growing):
    """Not even while it waits: the lock that is taken here is the run's own."""
    growing.grow(4)
    growing.leave()
    before = contents(growing.directory)

    def lock() -> None:
        Lock(growing.directory).close()

    watch(RUN, "none", tempo=meanwhile(*[lock] * 8))
    assert contents(growing.directory) == before


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ArtefactError, match="is not a moe-lab run"):
            watch(folder, tempo=meanwhile())
