import math
from itertools import pairwise, permutations

import numpy as np
import pytest
import torch

from moe_lab import metrics
from moe_lab.data.base import Batch
from moe_lab.data.domains import Domains, zipf_law
from moe_lab.evaluate import divergence

K, V, S = 3, 16, 12


@pytest.fixture
def source() -> Domains:
    return Domains(0, n_domains=K, vocab_size=V, seq_len=S)


def test_zipf_law():
    # 1, 1/2, 1/3 over their sum 11/6
    np.testing.assert_allclose(zipf_law(3, 1.0), [6 / 11, 3 / 11, 2 / 11])
    np.testing.assert_allclose(zipf_law(4, 0.0), [0.25] * 4)


@pytest.mark.parametrize("generator", ["common_zipf", "permuted_zipf"])
@pytest.mark.parametrize("common", [0.02, 0.5, 1.0])
def test_every_row_of_every_table_is_a_positive_law(generator, common):
    tables = Domains(1, generator=generator, n_domains=K, vocab_size=V, common=common).tables
    assert tables.shape == (K, V, V)
    assert (tables > 0).all()
    np.testing.assert_allclose(tables.sum(-1), 1, rtol=1e-12)


def test_a_row_is_the_common_law_and_four_successors_of_its_own(source):
    own = source.tables - 0.5 * source.first
    assert ((own > 1e-12).sum(-1) == 4).all()
    np.testing.assert_allclose(own.sum(-1), 0.5)
    np.testing.assert_allclose(Domains(0, common=1.0, vocab_size=V).tables[2, 3], source.first)


def test_weights_of_successors_are_uniform_on_the_simplex():
    # Dirichlet(1, 1, 1, 1): each weight has mean 1/4 and variance 1/4 * 3/4 / 5 = .0375.
    tables = Domains(0, vocab_size=256, common=0.02).tables
    own = (tables - 0.02 * zipf_law(256, 1.2)) / 0.98
    weights = own[own > 1e-12]
    assert weights.mean() == pytest.approx(0.25, rel=0.01)
    assert weights.var() == pytest.approx(0.0375, rel=0.05)


def test_successors_are_drawn_from_the_zipf_law_without_replacement():
    law, expected = zipf_law(8, 1.2), np.zeros(8)
    for drawn in permutations(range(8), 4):
        chance, left = 1.0, 1.0
        for token in drawn:
            chance *= law[token] / left
            left -= law[token]
        expected[list(drawn)] += chance
    own = Domains(0, vocab_size=8, n_domains=2000, common=0.02).tables - 0.02 * law
    error = np.sqrt(expected * (1 - expected) / (2000 * 8))
    assert (abs((own > 1e-12).mean((0, 1)) - expected) < 5 * error).all()


def test_empirical_frequencies_match_the_tables(source):
    batch = source.batch(1, 0, 20_000)
    d, now, after = (part.numpy().ravel() for part in (batch.domains, batch.inputs, batch.targets))
    counts = np.bincount((d * V + now) * V + after, minlength=K * V * V).reshape(K, V, V)
    visits = counts.sum(-1, keepdims=True)
    expected = visits * source.tables
    deviation = (counts - expected) / np.sqrt(expected * (1 - source.tables))
    often = expected > 20
    assert often.sum() > 500  # of 768 cells
    assert abs(deviation[often]).max() < 5

    first = np.bincount(batch.inputs[:, 0].numpy(), minlength=V) / 20_000
    error = np.sqrt(source.first * (1 - source.first) / 20_000)
    assert (abs(first - source.first) < 5 * error).all()


def test_domains_are_equally_frequent_and_constant_in_a_sequence(source):
    labels = source.batch(1, 0, 9000).domains
    assert (labels == labels[:, :1]).all()
    counts = labels[:, 0].bincount(minlength=K)  # 3000 each, sd sqrt(9000 * 1/3 * 2/3) = 44.7
    assert (counts - 3000).abs().max() < 5 * 44.7
    assert source.domains == ("domain_0", "domain_1", "domain_2")
    assert Domains(0, n_domains=11, vocab_size=V).domains[10] == "domain_10"
    assert Domains(0, n_domains=11, vocab_size=V).domains[1] == "domain_01"


def posterior_predictive(source: Domains, past: list[int]) -> list[float]:
    """p(next | past) by enumeration: the likelihood of the whole past under each domain."""
    joint = []
    for table in source.tables:
        likelihood = 1 / K
        for now, after in pairwise(past):
            likelihood *= table[now][after]
        joint.append(likelihood)
    laws = [
        [p * share / sum(joint) for p in table[past[-1]]]
        for share, table in zip(joint, source.tables, strict=True)
    ]
    return [sum(column) for column in zip(*laws, strict=True)]


def test_the_best_predictor_is_the_posterior_mixture(source):
    batch = source.batch(1, 0, 4)
    best = source.bayes(batch)
    for b, sequence in enumerate(batch.inputs.tolist()):
        for t in range(S):
            expected = posterior_predictive(source, sequence[: t + 1])
            np.testing.assert_allclose(best[b, t], expected, rtol=1e-9)


def test_the_best_predictor_reads_no_future_token(source):
    batch = source.batch(1, 0, 4)
    changed = batch.targets.clone()
    changed[:, 7:] = (changed[:, 7:] + 1) % V
    inputs = torch.cat([batch.inputs[:, :1], changed[:, :-1]], 1)
    other = source.bayes(Batch(inputs, changed, batch.domains))
    np.testing.assert_array_equal(other[:, :8], source.bayes(batch)[:, :8])
    assert not np.allclose(other[:, 8:], source.bayes(batch)[:, 8:])


def losses(law: np.ndarray, batch: Batch) -> np.ndarray:
    """Mean loss of each sequence under next-token laws (B, S, V)."""
    found = np.take_along_axis(law, batch.targets.numpy()[..., None], -1)[..., 0]
    return -np.log(found).mean(1)


def test_the_best_predictor_reaches_its_rung_on_sampled_data(source):
    batch = source.batch(1, 0, 4000)
    found, rung = losses(source.bayes(batch), batch), source.ladder()[-1]
    error = math.hypot(found.std() / math.sqrt(4000), rung.error)
    assert rung.name == "bayes"
    assert 0 < rung.error < 0.02
    assert abs(found.mean() - rung.loss) < 4 * error


def test_counted_unigrams_and_bigrams_land_on_their_rungs(source):
    fitted, unseen = source.batch(1, 0, 20_000), source.batch(2, 0, 20_000)
    pairs = np.full((V, V), 1e-3)
    np.add.at(pairs, (fitted.inputs.numpy().ravel(), fitted.targets.numpy().ravel()), 1)
    unigram = pairs.sum(0) / pairs.sum()
    bigram = pairs / pairs.sum(1, keepdims=True)
    rungs = {rung.name: rung.loss for rung in source.ladder()}
    # Fitting V(V - 1) = 240 free numbers to 240,000 pairs costs 240 / 480,000 = .0005 nats.
    by_count = {
        "unigram": np.broadcast_to(unigram, (20_000, S, V)),
        "bigram": bigram[unseen.inputs],
    }
    for name, law in by_count.items():
        found = losses(law, unseen)
        assert abs(found.mean() - rungs[name]) < 4 * found.std() / math.sqrt(20_000) + 0.0005


@pytest.mark.parametrize("generator", ["common_zipf", "permuted_zipf"])
def test_the_ladder_goes_down(generator):
    ladder = Domains(0, generator=generator).ladder()
    assert [rung.name for rung in ladder] == ["uniform", "unigram", "bigram", "bayes"]
    assert all(worse.loss > better.loss + 0.1 for worse, better in pairwise(ladder))


def test_without_domains_knowing_the_last_token_is_all():
    ladder = {rung.name: rung for rung in Domains(0, n_domains=1, vocab_size=V).ladder()}
    assert abs(ladder["bayes"].loss - ladder["bigram"].loss) < 4 * ladder["bayes"].error


def test_with_one_common_law_every_rung_is_its_entropy():
    law = zipf_law(V, 1.2)
    ladder = Domains(0, vocab_size=V, common=1.0).ladder()
    assert [r.loss for r in ladder[1:]] == pytest.approx([-(law * np.log(law)).sum()] * 3)


def test_the_bayes_rung_is_not_measured_on_evaluation_or_training_data(source):
    for batch in (source.held_out(512 * S), source.batch(0, 0, 512)):
        law = source.bayes(batch)
        assert -(law * np.log(law)).sum(-1).mean() != pytest.approx(source.ladder()[-1].loss)


def test_the_gap_of_the_best_predictor_is_zero(source):
    best = torch.from_numpy(source.bayes(source.batch(1, 0, 4)))
    shifted = best.log() + torch.randn(4, S, 1, generator=torch.Generator().manual_seed(0))
    assert divergence(best, shifted).abs().max() < 1e-12


def test_reordered_laws_tell_the_domain_by_a_single_token():
    def told(generator: str) -> float:
        batch = Domains(0, generator=generator, n_domains=4, vocab_size=64).batch(1, 0, 2000)
        table = metrics.joint_counts(batch.domains.numpy(), batch.inputs.numpy(), (4, 64))
        return metrics.mutual_information(table)

    # The most that can be told is ln 4 = 1.386 nats.
    assert told("permuted_zipf") > 3 * told("common_zipf") > 0


def test_the_language_is_a_function_of_seed_and_settings():
    def fingerprint(seed: int = 0, **options: object) -> str:
        return Domains(seed, **{"vocab_size": V, **options}).fingerprint

    variants = [
        {},
        {"common": 0.4},
        {"zipf": 1.0},
        {"n_domains": 7},
        {"generator": "permuted_zipf"},
    ]
    found = {fingerprint(**options) for options in variants} | {fingerprint(seed=1)}
    assert len(found) == 6
    assert fingerprint() == fingerprint(seq_len=32)
