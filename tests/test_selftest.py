import pytest

from moe_lab.selftest import CHECKS, Reading, run

FAST = CHECKS[:-1]  # the last one trains


@pytest.mark.parametrize("check", FAST, ids=lambda check: check.__name__)
def test_the_instrument_reads_right_here(check):
    assert check().agrees


def test_a_wrong_reading_is_a_failure():
    def wrong() -> Reading:
        """A check."""
        return Reading(1.002, 1.0)

    def right() -> Reading:
        """Another."""
        return Reading(1.0005, 1.0)

    findings = run([wrong, right])
    assert [(f.check, f.measured, f.expected, f.passed) for f in findings] == [
        ("A check", 1.002, 1.0, False),
        ("Another", 1.0005, 1.0, True),
    ]


def test_a_check_that_breaks_has_failed_and_the_others_go_on():
    def broken() -> Reading:
        """A check."""
        raise RuntimeError("no such kernel")

    first, second = run([broken, CHECKS[0]])
    assert (first.measured, first.passed) == ("RuntimeError('no such kernel')", False)
    assert second.passed


def test_not_a_number_agrees_with_nothing():
    assert not Reading(float("nan"), 1.0).agrees
    assert not Reading(float("nan"), float("nan")).agrees


def test_words_and_lists_agree_only_when_equal():
    assert Reading([1, 2], [1, 2]).agrees
    assert not Reading([1, 2], [1, 3]).agrees
