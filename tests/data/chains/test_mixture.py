from collections import defaultdict
from itertools import product
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_lab.data.chains.mixture import Mixture, entropy, urn

PRIOR = (0.5, 0.3, 0.2)


def mixture(*, k=2, v=3, switching=0.0, tagged=False, zeros=False, seed=0) -> Mixture:
    random = np.random.default_rng(seed)
    tables = random.dirichlet(np.ones(v), (k, v))
    if zeros:  # a token never follows itself
        tables[:, np.arange(v), np.arange(v)] = 0
        tables /= tables.sum(-1, keepdims=True)
    prior = np.array(PRIOR[:k]) / sum(PRIOR[:k])
    return Mixture(random.dirichlet(np.ones(v)), tables, prior, switching, tagged)


def probability(source: Mixture, domains: tuple[int, ...], tokens: tuple[int, ...]) -> float:
    """Of a path of domains and the tokens, each after the first drawn by the domain before it."""
    chance = source.prior[domains[0]]
    chance *= float(tokens[0] == domains[0]) if source.tagged else source.first[tokens[0]]
    for t in range(1, len(tokens)):
        tag_before = source.tagged and t == 1
        table = source.tables[domains[t - 1], tokens[t - 1]]
        chance *= (source.first if tag_before else table)[tokens[t]]
        if t < len(domains):
            same = domains[t] == domains[t - 1]
            redrawn = source.switching * source.prior[domains[t]]
            chance *= (1 - source.switching) * same + redrawn
    return float(chance)


VARIANTS = [
    {"k": k, "switching": switching, "tagged": tagged, "zeros": zeros}
    for k in (1, 2, 3)
    for switching in (0.0, 0.3, 0.9)
    for tagged in (False, True)
    for zeros in (False, True)
]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_beliefs_and_predictions_are_those_of_all_paths(variant):
    source, length = mixture(**variant), 4
    k, v = source.tables.shape[:2]
    for tokens in product(range(v), repeat=length):
        paths = {
            path: probability(source, path, tokens) for path in product(range(k), repeat=length)
        }
        if sum(paths.values()) == 0:
            continue  # these tokens cannot come
        inputs = np.array([tokens])
        *_, belief = source.beliefs(inputs)
        *_, predicted = source.predictions(inputs)
        expected = np.zeros(k)
        for path, chance in paths.items():
            expected[path[-1]] += chance / sum(paths.values())
        np.testing.assert_allclose(belief[0], expected, rtol=1e-9, atol=1e-15)
        laws = source.tables[:, tokens[-1]]
        np.testing.assert_allclose(predicted[0], expected @ laws, rtol=1e-9, atol=1e-15)


def test_what_is_believed_at_a_position_does_not_depend_on_later_tokens():
    source = mixture(k=3, switching=0.2)
    tokens = np.random.default_rng(1).integers(0, 3, (5, 9))
    whole, part = list(source.beliefs(tokens)), list(source.beliefs(tokens[:, :4]))
    assert len(whole) == 9
    for one, other in zip(whole[:4], part, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_the_losses_are_those_of_all_sequences(variant):
    source, length = mixture(**variant), 3
    k, v = source.tables.shape[:2]
    known: dict[tuple[int, ...], float] = defaultdict(float)
    for tokens in product(range(v), repeat=length + 1):
        for path in product(range(k), repeat=length):
            chance = probability(source, path, tokens) / length
            for t in range(length):
                at_tag = source.tagged and t == 0
                known[(at_tag, path[t], tokens[t], tokens[t + 1])] += chance

    def best(*seen: int) -> float:
        """Of predicting the next token from the parts of a key: H(seen, next) - H(seen)."""
        pairs: dict[tuple[int, ...], float] = defaultdict(float)
        singles: dict[tuple[int, ...], float] = defaultdict(float)
        for key, chance in known.items():
            pairs[(*(key[i] for i in seen), key[-1])] += chance
            singles[tuple(key[i] for i in seen)] += chance
        entropies = (-sum(p * log(p) for p in law.values() if p) for law in (pairs, singles))
        return next(entropies) - next(entropies)

    found = source.losses(length)
    assert sum(known.values()) == pytest.approx(1)
    assert found.unigram == pytest.approx(best(), abs=1e-12)
    assert found.bigram == pytest.approx(best(2), abs=1e-12)
    assert found.oracle == pytest.approx(best(0, 1, 2), abs=1e-12)
    assert found.unigram >= found.bigram - 1e-12 >= found.oracle - 2e-12


@given(st.integers(1, 3), st.floats(0, 0.99), st.booleans(), st.booleans(), st.integers(0, 2**32))
def test_beliefs_and_predictions_are_laws(k, switching, tagged, zeros, seed):
    source = mixture(k=k, v=4, switching=switching, tagged=tagged, zeros=zeros, seed=seed)
    tokens = np.array([[0, 1, 2, 3, 1, 0, 2, 1]])
    for law in (*source.beliefs(tokens), *source.predictions(tokens)):
        assert (law >= 0).all()
        np.testing.assert_allclose(law.sum(-1), 1, rtol=1e-12)


def test_nothing_times_the_logarithm_of_nothing_is_nothing():
    # (1/2, 1/2, 0): ln 2
    np.testing.assert_allclose(entropy(np.array([[0.5, 0.5, 0], [1, 0, 0]])), [log(2), 0])


# The urn

concentrations = st.floats(1e-300, 1e6)
sizes = st.integers(1, 40)
draws = st.lists(st.integers(0, 2**24 - 1), min_size=1, max_size=100)


@given(draws, concentrations, sizes)
def test_a_sequence_has_its_own_domain_or_that_of_an_earlier_one_of_its_cluster(draws, c, size):
    uniform = (2 * np.array(draws) + 1) / 2**25
    number, origin = np.arange(len(draws)), urn(uniform, c, size)
    assert (origin <= number).all()
    assert (origin // size == number // size).all()
    np.testing.assert_array_equal(origin[origin], origin)


@given(draws, concentrations, sizes, st.integers(0, 100))
def test_later_sequences_do_not_change_earlier_ones(draws, c, size, cut):
    uniform = (2 * np.array(draws) + 1) / 2**25
    np.testing.assert_array_equal(urn(uniform, c, size)[:cut], urn(uniform[:cut], c, size))


@pytest.mark.parametrize("c", [0.1, 1.0, 5.0])
def test_two_sequences_of_a_cluster_share_a_draw_as_often_as_dirichlet_clusters_do(c):
    # Sequence i copies one of i with probability i / (c + i); any two share a draw with 1 / (1 + c).
    clusters = 40_000
    uniform = (2 * np.random.default_rng(0).integers(0, 2**24, clusters * 5) + 1) / 2**25
    origin = urn(uniform, c, 5).reshape(clusters, 5)
    expected = 1 / (1 + c)
    error = 5 * np.sqrt(expected * (1 - expected) / clusters)
    for i in range(5):
        for j in range(i):
            assert abs((origin[:, i] == origin[:, j]).mean() - expected) < error
