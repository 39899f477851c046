import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from moe_lab import ranks
from moe_lab.errors import ConfigError
from moe_lab.ranks import ALONE, OtherRankError, Ranks


def test_what_does_not_divide_is_shared_in_order_and_nearly_evenly():
    # 7 over 3: 0 * 7 // 3 = 0, 7 // 3 = 2, 14 // 3 = 4, 21 // 3 = 7
    things = list("abcdefg")
    assert [things[Ranks(rank, 3).share(7)] for rank in range(3)] == [
        ["a", "b"],
        ["c", "d"],
        ["e", "f", "g"],
    ]


@given(n=st.integers(1, 500), world_size=st.integers(1, 50))
def test_shares_hold_each_thing_once_and_differ_by_one_at_most(n: int, world_size: int):
    shares = [range(n)[Ranks(rank, world_size).share(n)] for rank in range(world_size)]
    assert [i for share in shares for i in share] == list(range(n))
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1
    assert (min(sizes) > 0) == (n >= world_size)


def test_alone_nothing_is_changed_and_nothing_is_asked():
    tensor = torch.tensor([1.0, 2.0])
    ALONE.sum(tensor)
    assert tensor.tolist() == [1, 2]
    assert (ALONE.first, ALONE.gather(5), ALONE.broadcast(b"x")) == (True, [5], b"x")
    assert not torch.distributed.is_initialized()


def test_alone_an_error_leaves_as_it_came():
    with pytest.raises(ConfigError, match="no"), ALONE.together():
        raise ConfigError("no")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, ALONE),
        ({"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}, ALONE),
        ({"WORLD_SIZE": "8"}, ALONE),  # of something else: torchrun gives a rank
        ({"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}, Ranks(5, 8, 1)),
    ],
)
def test_torchrun_says_which_rank_this_is(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: Ranks
):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert ranks.here() == expected
    assert ranks.launched() == (expected is not ALONE)


def test_a_rank_that_is_not_the_first_says_one_line(monkeypatch: pytest.MonkeyPatch):
    error = ConfigError("no", help="try again").render()
    assert ranks.spoken(error) == "error: no\n  help: try again"
    for name, value in {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "3"}.items():
        monkeypatch.setenv(name, value)
    assert ranks.spoken(error) == "rank 3: error: no"


def test_what_another_rank_refused_is_told_with_its_number_and_exit_code():
    error = OtherRankError(2, ConfigError("no", help="try again").render(), 2)
    assert error.exit_code == 2
    assert error.render() == "error: on rank 2: no\n  help: try again"
