"""What a user may ask of Slurm, and how a refusal reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_lab.errors import ConfigError
from moe_lab.job.slurm.asked import asked, minutes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 90),
        ("01:30:00", 90),
        ("1:30:01", 91),  # rounded up, as Slurm does
        ("00:00:01", 1),
        ("2-00:00:00", 2880),  # 2 x 24 x 60
        ("1-02:03:04", 1564),  # 1440 + 120 + 3 + 1
        ("0", None),  # no limit, to Slurm
        ("00:00:00", None),
        ("1:30", None),  # minutes and seconds to Slurm, hours and minutes to most people
        ("1-12", None),
        ("-5", None),
        ("1h", None),
        ("", None),
        ("١٠", None),  # digits, but not of this alphabet
    ],
)
def test_a_limit_of_time_is_read_as_slurm_reads_it(text: str, expected: int | None) -> None:
    assert minutes(text) == expected


@given(st.integers(1, 10**7))
def test_every_number_of_seconds_is_within_a_minute_of_its_limit(seconds: int) -> None:
    rest, last = divmod(seconds, 60)
    hours, rest = divmod(rest, 60)
    days, hours = divmod(hours, 24)
    found = minutes(f"{days}-{hours:02}:{rest:02}:{last:02}")
    assert found is not None
    assert 60 * (found - 1) < seconds <= 60 * found


def test_what_is_asked_for_is_kept_as_it_was_written() -> None:
    site = {
        "partition": "cpu,long-2",
        "mem": "4GB",
        "account": "proj@x",
        "constraint": "[rack1|rack2]&ib",
        "gres": "gpu:a100:1",
        "qos": None,
    }
    found = asked("30", 120, site)
    assert (found.minutes, found.signal_before) == (30, 120)
    assert found.site == {key: value for key, value in site.items() if value is not None}


@pytest.mark.parametrize("key", ["partition", "account", "qos", "constraint", "gres", "mem"])
@pytest.mark.parametrize(
    "value", ["", "-x", "a b", "a\nrm -rf ~", "a'b", 'a"b', "$(id)", "`id`", "a;b", "4 GB"]
)
def test_what_could_leave_its_place_in_a_script_is_refused(key: str, value: str) -> None:
    with pytest.raises(ConfigError):
        asked("30", 120, {key: value})


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        asked("1h", 120, {"mem": "much", "qos": "a b"})
    assert caught.value.render().splitlines() == [
        "error: --launcher-opt mem=much: expected a size, as in 4GB",
        "error: --launcher-opt qos=a b: expected a name",
        "error: --launcher-opt time=1h: expected minutes, HH:MM:SS or D-HH:MM:SS, from a minute on",
    ]


@pytest.mark.parametrize(("before", "refused"), [(119, False), (120, True), (121, True)])
def test_a_run_is_not_stopped_as_it_begins(before: int, refused: bool) -> None:
    if not refused:
        assert asked("2", before, {}).signal_before == before
        return
    with pytest.raises(ConfigError, match=f"signal_before={before}.* time=2 is 120 seconds"):
        asked("2", before, {})
