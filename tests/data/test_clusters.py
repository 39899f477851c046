import math
from collections import Counter
from itertools import permutations, product

import numpy as np
import pytest

from moe_lab.data.base import Batch
from moe_lab.data.clusters import Clusters

K = 3
SIGNALS, CLUSTERS, LABELS = range(2 * K), range(2 * K, 3 * K), range(3 * K, 3 * K + 2)


def every_block(k: int) -> list[tuple[int, ...]]:
    """All blocks (a, b, c, y) with the cluster that counts; each is equally likely."""
    return [
        (*order, 2 * k + cluster, 3 * k + label, cluster)
        for cluster, other in permutations(range(k), 2)
        for label, sign in product(range(2), repeat=2)
        for order in permutations((2 * cluster + label, 2 * other + sign))
    ]


def blocks(source: Clusters, size: int) -> np.ndarray:
    """(size, blocks, 5): the four tokens and the label of the first."""
    batch = source.batch(1, 0, size)
    both = (batch.inputs.numpy(), batch.domains.numpy())
    tokens, labels = (part.reshape(size, -1, 4) for part in both)
    assert (labels == labels[..., :1]).all()
    return np.concatenate([tokens, labels[..., :1]], axis=-1)


def test_every_block_comes_equally_often():
    found = Counter(map(tuple, blocks(Clusters(0, n_domains=K, seq_len=16), 6000).reshape(-1, 5)))
    expected = every_block(K)
    assert len(expected) == 3 * 2 * 4 * 2
    assert found.keys() == set(expected)
    # 24,000 blocks of 48 kinds: 500 each, sd 22.1
    assert max(abs(n - 500) for n in found.values()) < 5 * 22.1


def test_blocks_are_independent_of_each_other():
    found = blocks(Clusters(0, n_domains=K, seq_len=8), 9000)
    pairs = Counter(zip(found[:, 0, 4], found[:, 1, 4], strict=True))
    assert len(pairs) == 9  # 1000 each, sd 29.8
    assert max(abs(n - 1000) for n in pairs.values()) < 5 * 29.8


def best(k: int, seen: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """By counting blocks that begin as seen: the law of the next token, and of the cluster."""
    next_token, cluster = np.zeros(3 * k + 2), np.zeros(k)
    for block in every_block(k):
        if block[: len(seen)] == seen:
            cluster[block[4]] += 1
            if len(seen) < 4:
                next_token[block[len(seen)]] += 1
    if len(seen) == 4:  # the next block is any
        next_token[: 2 * k] = 1
    return next_token / next_token.sum(), cluster / cluster.sum()


@pytest.mark.parametrize("k", [2, 3, 5])
@pytest.mark.parametrize("seq_len", [16, 13])
def test_the_best_predictor_and_the_most_probable_cluster_count_blocks(k, seq_len):
    source = Clusters(1, n_domains=k, seq_len=seq_len)
    batch = source.batch(1, 0, 30)
    law, cluster = source.bayes(batch), source.map_domains(batch)
    for b, tokens in enumerate(batch.inputs.tolist()):
        for t in range(seq_len):
            next_token, clusters = best(k, tuple(tokens[t - t % 4 : t + 1]))
            np.testing.assert_allclose(law[b, t], next_token, atol=1e-15)
            assert cluster[b, t] == clusters.argmax()


def test_the_cluster_token_tells_the_cluster_and_the_label_follows():
    batch = (source := Clusters(0, n_domains=K)).batch(1, 0, 50)
    right = source.map_domains(batch) == batch.domains.numpy()
    assert right[:, 2::4].all()
    assert right[:, 3::4].all()
    assert 0.4 < right[:, :2].mean() < 0.6
    labels = source.bayes(batch)[:, 2::4]
    assert set(labels.ravel()) == {0, 1}


def losses(source: Clusters, batch: Batch) -> np.ndarray:
    law = source.bayes(batch)
    chosen = np.take_along_axis(law, batch.targets.numpy()[..., None], -1)[..., 0]
    return -np.log(chosen)


def test_the_best_losses_of_a_block():
    # b: ln 2(K - 1) = ln 4, c: ln 2, y: 0, the next a: ln 2K = ln 6
    source = Clusters(0, n_domains=K, seq_len=16)
    found = losses(source, source.batch(1, 0, 20)).reshape(20, 4, 4)
    expected = np.array([math.log(4), math.log(2), 0, math.log(6)])
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=1e-12)


@pytest.mark.parametrize("seq_len", [16, 13])
def test_the_ladder_is_that_of_counted_blocks(seq_len):
    source = Clusters(0, n_domains=K, seq_len=seq_len)
    pairs: Counter[tuple[int, int]] = Counter()
    told: Counter[tuple[int, int, int, int]] = Counter()  # phase, cluster, token, next
    ends = [block[0] for block in every_block(K)]
    for t in range(seq_len):
        phase = t % 4
        for block in every_block(K):
            for after in ends if phase == 3 else [block[phase + 1]] * len(ends):
                pairs[block[phase], after] += 1
                told[phase, block[4], block[phase], after] += 1

    def entropy(counts: Counter) -> float:
        shares = np.array(list(counts.values())) / counts.total()
        return -(shares * np.log(shares)).sum()

    def without_the_last(counts: Counter) -> Counter:
        shorter: Counter = Counter()
        for key, n in counts.items():
            shorter[key[:-1]] += n
        return shorter

    nexts: Counter[int] = Counter()
    for (_, after), n in pairs.items():
        nexts[after] += n
    rungs = {rung.name: rung.loss for rung in source.ladder()}
    assert rungs["uniform"] == pytest.approx(math.log(11))
    assert rungs["unigram"] == pytest.approx(entropy(nexts))
    assert rungs["bigram"] == pytest.approx(entropy(pairs) - entropy(without_the_last(pairs)))
    sampled = losses(source, source.batch(1, 0, 10)).mean()
    assert rungs["bayes"] == pytest.approx(sampled, rel=1e-12)
    # Told the cluster, only whether b distracts is open; c is known, and the sign after c as before.
    assert rungs["oracle"] == pytest.approx(
        entropy(told) - entropy(without_the_last(told)) - _saved(seq_len)
    )


def _saved(seq_len: int) -> float:
    """What both signals tell beyond the last token, once the cluster is told: c -> y, ln 2."""
    return sum(t % 4 == 2 for t in range(seq_len)) / seq_len * math.log(2)


def test_names_and_sizes_follow_the_number_of_clusters():
    source = Clusters(0, n_domains=11)
    assert source.vocab_size == 35
    assert (source.domains[0], source.domains[10]) == ("cluster_00", "cluster_10")
    assert len({Clusters(s, n_domains=k).fingerprint for s in (0, 1) for k in (2, 3)}) == 4
