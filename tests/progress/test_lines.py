import json
from typing import Any

import pytest

from moe_lab.progress import JsonLines, Lines, Messages

from .conftest import See, story


def lines(see: See, steps: int, *, first: int = 0, pause: float = 0) -> list[str]:
    written: list[str] = []
    with Lines(written.append, pause=pause) as reporter:
        reporter.start(story(step=first, steps=steps))
        for step in range(first + 1, steps + 1):
            reporter.step(see(step, [4, 4, 4, 0]), 2 * step)  # n_eff = exp(ln 3) = 3.0
    return written


@pytest.mark.parametrize("steps", [1, 2, 19, 20, 21, 22, 23, 399, 10_000])
@pytest.mark.parametrize("share", [0, 0.37, 0.999])
def test_plain_progress_is_at_most_22_lines_with_its_first_and_last(see, steps: int, share: float):
    # one line at the start, and one is left for the run's path, which the command prints
    assert len(lines(see, steps, first=int(share * steps))) <= 21


def test_plain_progress_of_a_long_run_is_evenly_spread(see: See):
    shown = [line.split("  ")[0] for line in lines(see, 10_000)]
    assert shown == ["runs/x", *(f"step {500 * n}/10000" for n in range(1, 20))]


def test_plain_progress_says_how_far_how_good_and_how_long(see: See):
    first, second, *_ = lines(see, 100)
    assert first == "runs/x  steps 0/100"
    assert second == "step 5/100  loss 2.500  worst n_eff 3.0  eta 190 s"  # 95 steps of 2 s


def test_plain_progress_has_the_last_held_out_loss(see: See):
    written: list[str] = []
    reporter = Lines(written.append, pause=0)
    reporter.start(story(steps=100))
    for step in range(5, 11):
        if step != 10:
            reporter.evaluated(step, 2 + step / 10)
        reporter.step(see(step), step)
    assert [line.partition("  eta")[0] for line in written[1:]] == [
        "step 5/100  loss 2.500  val 2.500 @5",
        "step 10/100  loss 2.500  val 2.900 @9",
    ]


def test_a_run_of_unknown_length_has_a_line_at_each_doubling_and_no_eta(see: See):
    written: list[str] = []
    reporter = Lines(written.append, pause=0)
    reporter.start(story(steps=None))
    for step in range(1, 101):
        reporter.step(see(step), step)
    # the next step is twice the last and one: 1, 3, 7, 15, 31, 63
    assert written == ["runs/x  steps 0", *(f"step {2**n - 1}  loss 2.500" for n in range(1, 7))]


def test_a_model_without_experts_has_no_routing_to_report(see: See):
    written: list[str] = []
    reporter = Lines(written.append, pause=0)
    reporter.start(story(steps=100))
    reporter.step(see(5), 5)
    assert written[1].startswith("step 5/100  loss 2.500  eta ")


def test_a_short_run_prints_its_start_alone(see: See):
    assert lines(see, 400, pause=3600) == ["runs/x  steps 0/400"]


def test_plain_lines_go_to_stderr(capsys: pytest.CaptureFixture[str]):
    reporter = Lines(pause=0)
    reporter.start(story(steps=4))
    reporter.say("hello")
    assert capsys.readouterr() == ("", "runs/x  steps 0/4\nhello\n")


def test_without_progress_what_is_said_is_still_shown(see: See, capsys: pytest.CaptureFixture[str]):
    with Messages() as reporter:
        reporter.start(story(steps=4))
        reporter.evaluated(0, 2.5)
        reporter.step(see(1, [1, 1]), 1)
        reporter.say("stopped after step 1")
    assert capsys.readouterr() == ("", "stopped after step 1\n")


# JSON


def objects(see: See, pause: float) -> list[dict[str, Any]]:
    written: list[str] = []
    reporter = JsonLines(written.append, pause)
    reporter.start(story(steps=3))
    for step in (1, 2, 3):
        reporter.step(see(step, [4, 4, 4, 0], [1, 1, 1, 1]), step)
    reporter.evaluated(3, float("nan"))
    reporter.say('a "quoted"\nline')
    return [json.loads(line) for line in written]


def test_each_event_is_a_json_object_on_a_line(see: See):
    start, *steps, evaluated, message = objects(see, pause=0)
    run = {"run": "runs/x", "step": 0, "steps": 3, "seed": 0, "device": "cpu", "threads": 1}
    assert start == {"event": "start", **run}
    assert [step["step"] for step in steps] == [1, 2, 3]
    assert steps[0] == {
        **{"event": "step", "step": 1, "lm_loss": 2.5, "aux_loss": 0.01, "grad_norm": 0.84},
        "n_eff_worst": pytest.approx(3),
    }
    assert evaluated == {"event": "evaluated", "step": 3, "lm_loss": None}  # JSON has no nan
    assert message == {"event": "message", "text": 'a "quoted"\nline'}


def test_the_last_step_is_always_among_the_objects(see: See):
    steps = [found["step"] for found in objects(see, pause=3600) if found["event"] == "step"]
    assert steps == [1, 3]
