import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_lab import metrics

from .conftest import choices


def by_sequence(labels: np.ndarray) -> np.ndarray:
    """One label per sequence, for each of its 16 tokens."""
    return np.repeat(labels[:, None], 16, axis=1)


def plug_in(experts: np.ndarray, domains: np.ndarray) -> float:
    table = metrics.joint_counts(experts, domains, (8, 8))
    return metrics.mutual_information(table) / math.log(8)


def shuffles(n_sequences: int) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.permutation(n_sequences) for _ in range(30)]


def test_mutual_information_of_small_tables():
    assert metrics.mutual_information(np.array([[5, 0], [0, 5]])) == pytest.approx(math.log(2))
    assert metrics.mutual_information(np.array([[6, 2], [3, 1]])) == pytest.approx(0)
    # p = 1/2, 1/4, 1/4; marginals 3/4, 1/4 both ways: 1/2 ln(8/9) + 2 * 1/4 ln(4/3) = .0849
    assert metrics.mutual_information(np.array([[2, 1], [1, 0]])) == pytest.approx(0.0849, abs=5e-5)


def test_joint_counts_are_a_table_of_pairs():
    experts, domains = np.array([[0, 1], [1, 1]]), np.array([[0, 0], [2, 2]])
    assert metrics.joint_counts(experts, domains, (2, 3)).tolist() == [[1, 0, 0], [1, 0, 2]]


def test_nmi_is_one_when_the_expert_tells_the_domain_up_to_the_null():
    domains = by_sequence(np.arange(4096) % 8)
    experts = (domains + 3) % 8  # any naming of the experts
    # Null: (8 - 1)^2 / (2 * 4096 sequences) = .0060 nats, / ln 8 = .0029
    found = metrics.nmi(experts, domains, shuffles(4096), (8, 8))
    assert found == pytest.approx(1 - 0.0029, abs=0.001)


def test_nmi_of_experts_that_ignore_the_domain_is_zero_where_the_plug_in_is_not():
    # Each sequence uses one expert, chosen blindly: its 16 tokens are one observation. To first order the plug-in
    # reads (8 - 1)^2 / (2 * 128) / ln 8 = .092; a null that shuffled single tokens would remove a 16th of it.
    rng = np.random.default_rng(0)
    domains = [by_sequence(rng.integers(8, size=128)) for _ in range(20)]
    experts = [by_sequence(rng.integers(8, size=128)) for _ in range(20)]
    pairs = list(zip(experts, domains, strict=True))
    biased = [plug_in(*pair) for pair in pairs]
    found = [metrics.nmi(*pair, shuffles(128), (8, 8)) for pair in pairs]
    assert np.mean(biased) == pytest.approx(0.092, rel=0.3)
    assert abs(np.mean(found)) < 4 * np.std(found) / math.sqrt(20)
    assert abs(np.mean(found)) < 0.02


@st.composite
def labelled(draw):
    """Experts (T, k) with a domain and an id per token, and some permutations of the tokens."""
    chosen, _ = draw(choices())
    size = len(chosen)
    labels = [
        np.array(draw(st.lists(st.integers(0, most), min_size=size, max_size=size)))
        for most in (2, 4)
    ]
    orders = draw(st.lists(st.permutations(range(size)), min_size=1, max_size=3))
    return chosen, *labels, [np.array(order) for order in orders]


def slow_information(pairs: list[tuple[int, int]]) -> float:
    """I of two labels, from a list of observations."""
    both = Counter(pairs)
    left, right = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    ratios = {(a, b): n * len(pairs) / left[a] / right[b] for (a, b), n in both.items()}
    return sum(n / len(pairs) * math.log(ratios[pair]) for pair, n in both.items())


def slow_entropy(labels: list[int]) -> float:
    return slow_information([(label, label) for label in labels])


def swapped_within(domains, tokens, order) -> list[int]:
    """The k-th token of an id takes the domain of the k-th token of this id in `order`."""
    found = list(domains)
    for token in set(tokens):
        places = [t for t in range(len(tokens)) if tokens[t] == token]
        sources = [t for t in order if tokens[t] == token]
        for place, source in zip(places, sources, strict=True):
            found[place] = domains[source]
    return found


def slow_conditional_nmi(experts, domains, tokens, orders) -> float | None:
    def over_ids(measure, labels) -> float:
        """Mean over tokens of a measure of the labels of all tokens with the same id."""
        groups = [[t for t in range(len(tokens)) if tokens[t] == x] for x in set(tokens)]
        parts = [len(group) * measure([labels[t] for t in group]) for group in groups]
        return sum(parts) / len(tokens)

    def information(labels) -> float:
        pairs = list(zip(experts.tolist(), labels, strict=True))
        return over_ids(
            lambda group: slow_information([(e, d) for chosen, d in group for e in chosen]), pairs
        )

    uncertainty = over_ids(slow_entropy, domains)
    if uncertainty < 1e-12:
        return None
    null = [information(swapped_within(domains, tokens, order)) for order in orders]
    return (information(domains) - sum(null) / len(null)) / uncertainty


def slow_token_specialization(experts, tokens, orders) -> float | None:
    def information(ids) -> float:
        pairs = zip(experts.tolist(), ids, strict=True)
        return slow_information([(e, x) for chosen, x in pairs for e in chosen])

    least = min(slow_entropy(experts.ravel().tolist()), slow_entropy(tokens))
    if least < 1e-12:
        return None
    null = [information([tokens[t] for t in order]) for order in orders]
    return (information(tokens) - sum(null) / len(null)) / least


@given(labelled())
def test_specialization_is_its_slow_definition_and_within_bounds(drawn):
    experts, domains, tokens, orders = drawn
    found = (
        metrics.conditional_nmi(experts, domains, tokens, orders),
        metrics.token_specialization(experts, tokens, orders),
    )
    slow = (
        slow_conditional_nmi(experts, domains.tolist(), tokens.tolist(), orders),
        slow_token_specialization(experts, tokens.tolist(), orders),
    )
    assert found == pytest.approx(slow, abs=1e-9)
    assert all(-1 - 1e-9 <= value <= 1 + 1e-9 for value in found if value is not None)


def test_conditional_nmi_of_four_tokens():
    one_id, domains = np.zeros(4, dtype=int), np.array([0, 0, 1, 1])
    telling, same, mixed = domains[:, None], np.arange(4), np.array([0, 2, 1, 3])
    # I = H = ln 2. In the same order the null is as high; mixed, the domains are 0 1 0 1: no information.
    assert metrics.conditional_nmi(telling, domains, one_id, [same]) == 0
    assert metrics.conditional_nmi(telling, domains, one_id, [mixed]) == pytest.approx(1)
    assert metrics.conditional_nmi(telling, domains, one_id, [same, mixed]) == pytest.approx(0.5)


def test_a_router_that_looks_at_the_id_alone_has_nmi_but_no_conditional_nmi():
    rng = np.random.default_rng(0)
    domains = rng.integers(4, size=2000)
    tokens = (domains + 4 * rng.integers(8, size=2000)) % 30  # ids that lean to a domain
    experts, orders = tokens[:, None] % 4, shuffles(2000)[:5]
    assert metrics.nmi(experts, domains[:, None], orders, (4, 4)) > 0.3
    assert metrics.conditional_nmi(experts, domains, tokens, orders) == pytest.approx(0, abs=1e-12)
    assert metrics.token_specialization(experts, tokens, orders) > 0.9


def test_a_router_that_looks_at_the_domain_alone_has_conditional_nmi():
    rng = np.random.default_rng(0)
    domains, tokens = rng.integers(4, size=4000), rng.integers(5, size=4000)
    orders = shuffles(4000)[:5]
    found = metrics.conditional_nmi(domains[:, None], domains, tokens, orders)
    # Null: 5 ids of 800 tokens with (4 - 1)^2 / (2 * 800) = .0056 nats each, / ln 4 = .0041
    assert found == pytest.approx(1 - 0.0041, abs=0.002)
    blind = metrics.token_specialization(domains[:, None], tokens, orders)
    assert blind == pytest.approx(0, abs=0.005)  # plug-in: 3 * 4 / (2 * 4000) / ln 4 = .0011


def test_a_domain_that_the_id_tells_leaves_nothing_to_condition_on():
    tokens = np.array([0, 1, 2, 0, 1, 2])
    assert metrics.conditional_nmi(tokens[:, None], tokens % 2, tokens, [np.arange(6)]) is None


def test_token_specialization_of_four_tokens():
    experts, order = np.array([[0], [0], [1], [1]]), np.array([0, 2, 1, 3])
    # Ids 0 0 1 1 tell the expert and it them; swapped 0 1 0 1: no information.
    assert metrics.token_specialization(experts, np.array([0, 0, 1, 1]), [order]) == pytest.approx(
        1
    )
    # Ids 0 1 2 3: I = H(E) = ln 2, the smaller entropy; however swapped, four ids tell two experts: null as high.
    assert metrics.token_specialization(experts, np.arange(4), [order]) == pytest.approx(0)


def test_a_single_expert_or_id_has_no_specialization():
    two, one, order = np.array([0, 1, 1]), np.array([3, 3, 3]), [np.array([2, 1, 0])]
    assert metrics.token_specialization(one[:, None], two, order) is None
    assert metrics.token_specialization(two[:, None], one, order) is None
