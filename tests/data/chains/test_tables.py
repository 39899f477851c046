from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_lab.data.chains.mixture import entropy
from moe_lab.data.chains.tables import GENERATORS, WEIGHTS, Laws, draw_laws, zipf_law
from moe_lab.streams import Stream

K, V = 3, 16
FLOORED = ["common_zipf", "permuted_zipf", "ipf_zipf"]
STATIONARY = ["birkhoff", "ipf_zipf"]


def drawn(generator: str, *, k=K, v=V, common=0.5, zipf=1.2, separation=1.0, seed=0) -> Laws:
    law = zipf_law(v, zipf)
    options = {"n_domains": k, "common": common, "separation": separation}
    return draw_laws(Stream(seed), generator, law, **options)


def test_zipf_law():
    # 1, 1/2, 1/3 over their sum 11/6
    np.testing.assert_allclose(zipf_law(3, 1.0), [6 / 11, 3 / 11, 2 / 11])
    np.testing.assert_allclose(zipf_law(4, 0.0), [0.25] * 4)


@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize("common", [0.02, 0.5, 1.0])
def test_every_row_of_every_table_is_a_law(generator, common):
    first, tables = drawn(generator, common=common)
    assert tables.shape == (K, V, V)
    assert (tables >= 0).all()
    np.testing.assert_allclose(tables.sum(-1), 1, rtol=1e-12)
    np.testing.assert_allclose(first.sum(), 1, rtol=1e-12)


@pytest.mark.parametrize("generator", FLOORED)
def test_with_a_common_part_every_token_can_follow_every_other(generator):
    assert (drawn(generator, common=0.02).tables > 0).all()


def test_a_row_is_the_common_law_and_four_successors_of_its_own():
    first, tables = drawn("common_zipf")
    own = tables - 0.5 * first
    assert ((own > 1e-12).sum(-1) == 4).all()
    np.testing.assert_allclose(own.sum(-1), 0.5)
    np.testing.assert_allclose(drawn("common_zipf", common=1.0).tables[2, 3], first)


def test_weights_of_successors_are_uniform_on_the_simplex():
    # Dirichlet(1, 1, 1, 1): each weight has mean 1/4 and variance 1/4 * 3/4 / 5 = .0375.
    tables = drawn("common_zipf", k=8, v=256, common=0.02).tables
    own = (tables - 0.02 * zipf_law(256, 1.2)) / 0.98
    weights = own[own > 1e-12]
    assert weights.mean() == pytest.approx(0.25, rel=0.01)
    assert weights.var() == pytest.approx(0.0375, rel=0.05)


def test_successors_are_drawn_from_the_zipf_law_without_replacement():
    law, expected = zipf_law(8, 1.2), np.zeros(8)
    for order in permutations(range(8), 4):
        chance, left = 1.0, 1.0
        for token in order:
            chance *= law[token] / left
            left -= law[token]
        expected[list(order)] += chance
    own = drawn("common_zipf", k=2000, v=8, common=0.02).tables - 0.02 * law
    error = np.sqrt(expected * (1 - expected) / (2000 * 8))
    assert (abs((own > 1e-12).mean((0, 1)) - expected) < 5 * error).all()


@pytest.mark.parametrize("v", [8, 16, 61])
def test_birkhoff_tables_are_disjoint_permutations_with_fixed_weights(v):
    first, tables = drawn("birkhoff", v=v)
    np.testing.assert_allclose(tables.sum(-2), 1, rtol=1e-12)
    np.testing.assert_allclose(first, 1 / v, rtol=1e-12)
    for weight in WEIGHTS:
        # One of each row and of each column: a permutation. Its entries are no other weight's.
        assert ((tables == weight).sum(-1) == 1).all()
        assert ((tables == weight).sum(-2) == 1).all()
    assert np.count_nonzero(tables) == K * 4 * v
    assert not np.array_equal(tables[0], tables[1])


def test_every_row_of_birkhoff_has_the_entropy_of_its_weights():
    # -.55 ln .55 = .328810, -.25 ln .25 = .346574, -.15 ln .15 = .284568, -.05 ln .05 = .149787
    rows = entropy(drawn("birkhoff").tables)
    np.testing.assert_allclose(rows, 0.328810 + 0.346574 + 0.284568 + 0.149787, atol=2e-6)
    np.testing.assert_allclose(rows, 1.109739, atol=5e-7)
    np.testing.assert_allclose(rows, rows[0, 0], rtol=1e-12)


@pytest.mark.parametrize(("v", "zipf", "common"), [(16, 1.2, 0.5), (64, 1.0, 0.02), (13, 0.0, 0.1)])
def test_ipf_fits_both_marginals_of_every_domain(v, zipf, common):
    law, tables = drawn("ipf_zipf", v=v, zipf=zipf, common=common)
    np.testing.assert_allclose(law, zipf_law(v, zipf))
    joint = law[:, None] * tables
    np.testing.assert_allclose(joint.sum(-1), np.tile(law, (K, 1)), rtol=1e-12)
    np.testing.assert_allclose(joint.sum(-2), np.tile(law, (K, 1)), rtol=1e-12)


def test_ipf_only_rescales_rows_and_columns():
    # Then every 2 x 2 cross ratio a b' / (a' b) of the joint law stays what it was.
    law, fitted = drawn("ipf_zipf", common=0.1)
    raw = drawn("permuted_zipf", common=0.1).tables
    for tables in (fitted, raw):
        tables *= law[:, None]

    def cross_ratios(joint):
        logs = np.log(joint)
        return logs[:, 1:, 1:] - logs[:, :-1, 1:] - logs[:, 1:, :-1] + logs[:, :-1, :-1]

    np.testing.assert_allclose(cross_ratios(fitted), cross_ratios(raw), atol=1e-9)
    assert not np.allclose(fitted, raw)


def information_about_the_domain(laws: Laws, position: int) -> float:
    """I(D; X_t) in nats, domains equally frequent."""
    law = np.tile(laws.first, (K, 1))
    for _ in range(position):
        law = (law[:, None] @ laws.tables)[:, 0]
    return float(entropy(law.mean(0)) - entropy(law).mean())


@given(st.sampled_from(STATIONARY), st.integers(0, 30), st.floats(0, 1), st.integers(0, 2**32))
def test_a_token_alone_tells_nothing_about_its_domain(generator, position, separation, seed):
    laws = drawn(generator, separation=separation, seed=seed)
    assert abs(information_about_the_domain(laws, position)) < 1e-12
    told = information_about_the_domain(drawn("permuted_zipf", seed=seed), 1)
    assert told > 1e-3


@pytest.mark.parametrize("generator", GENERATORS)
def test_separation_mixes_each_domain_with_one_law_that_all_share(generator):
    own, none = drawn(generator).tables, drawn(generator, separation=0.0).tables
    assert (none == none[0]).all()
    assert not any(np.allclose(none[0], table) for table in own)
    quarter = drawn(generator, separation=0.25).tables
    np.testing.assert_allclose(quarter, 0.75 * none + 0.25 * own, rtol=1e-12)


@pytest.mark.parametrize("generator", GENERATORS)
def test_tables_are_a_function_of_the_seed(generator):
    tables = drawn(generator).tables
    np.testing.assert_array_equal(drawn(generator).tables, tables)
    assert not np.allclose(drawn(generator, seed=1).tables, tables)
