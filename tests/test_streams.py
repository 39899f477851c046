import numpy as np
import pytest
import torch

from moe_lab.streams import Stream

N = 2**18


def test_the_same_place_gives_the_same_words_and_another_object_changes_nothing():
    first = Stream(3, ("train", 7)).words("token", (4, 5))
    Stream(3, ("train", 7)).normal("token", (100,))
    assert np.array_equal(Stream(3).at("train").at(7).words("token", (4, 5)), first)


def test_the_words_are_the_same_on_every_machine_and_in_every_version():
    # Pinned: a change here silently changes the data and the weights of every earlier run.
    stream = Stream(0, ("train", 1))
    assert stream.integers("token", (4,)).tolist() == [620975, 7903187, 9211554, 11094270]
    assert Stream(7).integers("x", (3,)).tolist() == [1952370, 1309661, 1538588]
    assert stream.permutation("order", 8).tolist() == [7, 2, 4, 5, 1, 6, 3, 0]
    # 682769716498488730 // 2**40 = 620975; (2 x 620975 + 1) / 2**25 = 0x1.2f35fp-5 = 0.0370, at -1.786 of a normal law
    assert stream.words("token", (2,)).tolist() == [682769716498488730, 8689646033300403299]
    uniform, normal = stream.uniform("token", (2,)), stream.normal("token", (4,)).double()
    assert [u.hex() for u in uniform] == ["0x1.2f35f00000000p-5", "0x1.e25f4e0000000p-2"]
    assert [z.hex() for z in normal.tolist()] == [
        *("-0x1.c954f00000000p+0", "-0x1.2952d60000000p-4"),
        *("0x1.f8e4e20000000p-4", "0x1.a9ea080000000p-2"),
    ]


def test_draws_do_not_depend_on_the_number_of_threads():
    one = Stream(4).normal("z", (N,))  # enough for two threads to share
    torch.set_num_threads(2)
    try:
        two = Stream(4).normal("z", (N,))
    finally:
        torch.set_num_threads(1)
    assert torch.equal(one, two)


def test_another_seed_purpose_or_index_gives_other_words():
    seeds = (0, 1, 2**32, 2**32 + 1, 2**63 - 1)  # seeds 2**32 apart are not the same seed
    indices = ((1,), ("1",), (1, 2), (12,), ("token",))
    places = [(Stream(seed), "token") for seed in seeds]
    places += [(Stream(0, index), "token") for index in indices]
    places += [(Stream(0), "start"), (Stream(0), "tok")]
    words = np.concatenate([stream.words(purpose, (64,)) for stream, purpose in places])
    assert len(np.unique(words)) == 64 * len(places)


def test_a_longer_draw_begins_with_the_shorter_one():
    stream = Stream(5, ("eval",))
    assert np.array_equal(stream.words("w", (100,))[:30], stream.words("w", (30,)))
    # Rows of a table: more sequences in a batch do not change the first ones.
    assert np.array_equal(stream.uniform("w", (9, 7))[:4], stream.uniform("w", (4, 7)))
    assert torch.equal(stream.normal("w", (9, 7))[:4], stream.normal("w", (4, 7)))


@pytest.mark.parametrize("skipped", [0, 1, 3, 4, 7])
def test_a_later_rank_draws_the_rows_of_its_own_tokens(skipped):
    # 7 words a row: most shares do not begin where Philox counts, after every 4 words
    whole, later = Stream(5).at("layer"), Stream(5).after(skipped).at("layer")
    assert np.array_equal(
        later.words("w", (4, 7)), whole.words("w", (11, 7))[skipped : skipped + 4]
    )
    assert torch.equal(later.normal("w", (4, 7)), whole.normal("w", (11, 7))[skipped : skipped + 4])
    assert np.array_equal(later.words("w", (5,)), whole.words("w", (12,))[skipped : skipped + 5])
    assert later.after(2) == whole.after(skipped + 2)


def test_a_permutation_of_rows_is_one_of_their_numbers():
    flat, rows = Stream(5).permutation("p", 12), Stream(5).permutation("p", 4, 3)
    assert np.array_equal(flat, rows)
    later = Stream(5).after(2).permutation("p", 2, 3)
    words = Stream(5).words("p", (12,))
    assert np.array_equal(later, words[6:].argsort(kind="stable"))


def test_uniform_draws_lie_strictly_inside_the_unit_interval_and_fill_it():
    u = Stream(1).uniform("u", (N,))
    # Multiples of 2**-25, odd: 0 and 1 are out of reach, and each of 256 cells expects 1024 +- 32.
    assert np.array_equal(u * 2**25 % 2, np.ones(N))
    assert u.min() > 0
    assert u.max() < 1
    cells = np.bincount((u * 256).astype(int), minlength=256)
    assert abs(cells - 1024).max() < 5 * 32
    assert abs(u.mean() - 0.5) < 5 * np.sqrt(1 / 12 / N)


def test_integers_use_all_24_bits():
    drawn = Stream(2).integers("i", (N,))
    assert drawn.min() >= 0
    assert drawn.max() < 2**24
    bits = (drawn[:, None] >> np.arange(24)) & 1
    assert abs(bits.mean(0) - 0.5).max() < 5 * 0.5 / np.sqrt(N)


def test_normal_draws_have_the_moments_and_the_tails_of_a_normal_law():
    z = Stream(0).normal("init", (N,))
    assert z.dtype == torch.float32
    z = z.double()
    assert abs(z.mean()) < 5 / np.sqrt(N)  # variance of the mean 1 / N
    assert abs(z.var() - 1) < 5 * np.sqrt(2 / N)  # of the variance 2 / N
    assert abs((z**4).mean() - 3) < 5 * np.sqrt(96 / N)  # of z^4: 105 - 9 = 96
    # P(|z| > 4) = 6.33e-5: 16.6 +- 4.1 expected.
    assert 5 <= (z.abs() > 4).sum() <= 35


def test_a_permutation_holds_each_number_once_and_every_order_is_equally_likely():
    orders = [tuple(Stream(i).permutation("p", 3).tolist()) for i in range(3000)]
    assert all(sorted(order) == [0, 1, 2] for order in orders)
    counts = [orders.count(order) for order in set(orders)]
    assert len(counts) == 6  # 500 each, standard deviation sqrt(3000 * 1/6 * 5/6) = 20.4
    assert max(abs(count - 500) for count in counts) < 5 * 20.4


def test_building_and_running_a_model_touches_no_global_generator(build_model):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    model = build_model(noise=1.0, init_std=0, capacity_factor=1.0)
    logits, _ = model(torch.zeros(2, 16, dtype=torch.int64), Stream(0))
    logits.sum().backward()
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


@pytest.mark.parametrize("n", [1, 2, 3, 7, 24, 49, 256])
def test_of_equal_weights_the_upper_bits_choose(n):
    integers = Stream(0).integers("domain", (10_000,))
    found = Stream(0).choices("domain", (10_000,), np.ones(n))
    np.testing.assert_array_equal(found, integers * n >> 24)


def test_choices_are_as_frequent_as_their_weights():
    # 1 : 0 : 3 : 4 of 80,000: sd at most sqrt(80,000) / 2 = 141
    counts = np.bincount(Stream(0).choices("x", (80_000,), np.array([1.0, 0.0, 3.0, 4.0])))
    assert counts[1] == 0
    assert abs(counts - [10_000, 0, 30_000, 40_000]).max() < 5 * 141
