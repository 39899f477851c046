import pytest

from moe_lab.progress.story import RECENT, Pace, Story

from .conftest import See, story


def test_the_pace_of_a_single_step_is_that_of_the_whole_run():
    pace = Pace()
    pace.add(10, 25.0)
    assert (pace.step_s, pace.elapsed_s) == (2.5, 25.0)


def test_the_pace_is_that_of_the_recent_steps_evaluations_included():
    pace = Pace()
    elapsed = 0.0
    for step in range(1, 401):
        elapsed += 9.0 if step <= 200 else 2.0 if step % 50 == 0 else 1.0
        pace.add(step, elapsed)
    # RECENT = 100 steps have 99 between them: an evaluation at 350 and one at 400 cost a second more
    assert RECENT == 100
    assert pace.step_s == pytest.approx((99 + 2) / 99)


def test_steps_that_are_not_logged_count(see: See):
    pace = Pace()
    for step in (10, 20, 30):
        pace.add(step, 3.0 * step)
    assert pace.step_s == pytest.approx(3.0)


def test_verdicts_and_courses_are_of_all_steps(see: See):
    known = story(steps=100)
    for step in range(1, 51):
        known.step(see(step, [8, 0, 0, 0], [2, 2, 2, 2]), step)
    assert known.verdicts == {0: "collapsed", 1: "balanced"}
    # all of one of four experts: cv = sqrt(4 - 1); the other layer has 0
    assert known.cv.ends == (pytest.approx(3**0.5), pytest.approx(3**0.5))
    assert known.loss.ends == (2.51, 2.51)


def test_a_story_begins_where_its_run_goes_on(see: See):
    known: Story = story(step=300)
    assert (known.steps_done, known.held_out, known.verdicts) == (300, None, {})
    known.evaluated(300, 2.0)
    known.step(see(301), 1.0)
    assert (known.steps_done, known.held_out) == (301, (300, 2.0))
