import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from moe_lab import metrics
from moe_lab.data.base import Batch
from moe_lab.data.chains.mixture import entropy
from moe_lab.data.chains.tables import GENERATORS
from moe_lab.data.domains import Domains
from moe_lab.evaluate import divergence

K, V, S = 3, 16, 12


@pytest.fixture
def source() -> Domains:
    return Domains(0, n_domains=K, vocab_size=V, seq_len=S)


VARIANTS = [
    *({"generator": generator} for generator in GENERATORS),
    {"switching": 0.2},
    {"hidden_tag": True},
    {"domain_weights": (6.0, 3.0, 1.0)},
    {"separation": 0.3},
    {"concentration": 0.5, "cluster_size": 7},
    {
        "generator": "birkhoff",
        "separation": 0.7,
        "switching": 0.1,
        "hidden_tag": True,
        "domain_zipf": 1.0,
    },
]


@pytest.fixture(params=VARIANTS, ids=str)
def variant(request: pytest.FixtureRequest) -> Domains:
    return Domains(0, n_domains=K, vocab_size=V, seq_len=S, **request.param)


def deviations(counts: np.ndarray, laws: np.ndarray) -> np.ndarray:
    """Of counts from the laws of their rows, in standard deviations, where a law can deviate."""
    expected = counts.sum(-1, keepdims=True) * laws
    free = (laws > 0) & (laws < 1) & (expected > 20)
    assert (counts[laws == 0] == 0).all()
    return ((counts - expected)[free]) / np.sqrt(expected * (1 - laws))[free]


def test_a_token_comes_from_the_law_of_the_label_before_it(variant):
    batch, tagged = variant.batch(1, 0, 20_000), variant.mixture.tagged
    d, now, after = (part.numpy() for part in (batch.domains, batch.inputs, batch.targets))
    first = np.bincount((after if tagged else now)[:, 0], minlength=V)
    assert abs(deviations(first, variant.mixture.first)).max() < 5

    skip = int(tagged)  # a tag is no context
    cells = ((d * V + now) * V + after)[:, skip:].ravel()
    counts = np.bincount(cells, minlength=K * V * V).reshape(K, V, V)
    found = deviations(counts, variant.mixture.tables)
    assert len(found) > 100
    assert abs(found).max() < 5


def test_a_hidden_tag_is_the_number_of_the_first_domain():
    batch = Domains(0, n_domains=K, vocab_size=V, hidden_tag=True, switching=0.5).batch(1, 0, 50)
    assert torch.equal(batch.inputs[:, 0], batch.domains[:, 0])


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


def rungs(source: Domains) -> dict[str, float]:
    return {rung.name: rung.loss for rung in source.ladder()}


def test_the_best_predictor_reaches_its_rung_on_sampled_data(variant):
    batch = variant.held_out(4000 * S)
    found, rung = losses(variant.bayes(batch), batch), variant.ladder()[-2]
    error = math.hypot(found.std() / math.sqrt(4000), rung.error)
    assert rung.name == "bayes"
    assert rung.error < 0.03
    assert abs(found.mean() - rung.loss) < 4 * error


def test_counted_unigrams_bigrams_and_laws_of_domains_land_on_their_rungs(variant):
    fitted, unseen = variant.batch(1, 0, 20_000), variant.batch(2, 0, 20_000)
    tagged = np.zeros((20_000, S), dtype=np.int64)
    tagged[:, 0] = variant.mixture.tagged  # whoever is told the domain also sees the position

    def context(batch: Batch, *parts: str) -> tuple[np.ndarray, ...]:
        return tuple(getattr(batch, part).numpy() for part in parts)

    free = 1e-9  # a count for what was never seen
    sizes = {"unigram": (V,), "bigram": (V, V), "oracle": (2, K, V, V)}
    seen = {
        "unigram": lambda batch: (),
        "bigram": lambda batch: context(batch, "inputs"),
        "oracle": lambda batch: (tagged, *context(batch, "domains", "inputs")),
    }
    for name, loss in rungs(variant).items():
        if name not in sizes:
            continue
        counts = np.full(sizes[name], free)
        np.add.at(counts, (*seen[name](fitted), fitted.targets.numpy()), 1)
        law = counts / counts.sum(-1, keepdims=True)
        chosen = law[(*seen[name](unseen), unseen.targets.numpy())]
        found = -np.log(np.maximum(chosen, 1e-4)).mean(1)
        # Fitting f free numbers to n tokens costs f / 2n nats: 15, 240 or 720 of 240,000; .0015 at most.
        # The sequences of a cluster are alike: 7 of them tell as much as one at worst.
        alike = variant.cluster_size if variant.concentration else 1
        error = found.std() * math.sqrt(alike / 20_000)
        assert abs(found.mean() - loss) < 4 * error + 0.003, name


@pytest.mark.parametrize("generator", ["common_zipf", "permuted_zipf"])
def test_the_ladder_goes_down(generator):
    ladder = Domains(0, generator=generator).ladder()
    assert [rung.name for rung in ladder] == ["uniform", "unigram", "bigram", "bayes", "oracle"]
    assert all(worse.loss > better.loss + 0.01 for worse, better in pairwise(ladder))


def test_the_ladder_of_birkhoff_ends_at_the_entropy_of_its_weights():
    source = Domains(0, generator="birkhoff", n_domains=K, vocab_size=V, seq_len=S)
    assert rungs(source)["oracle"] == pytest.approx(1.109739, abs=5e-7)
    assert rungs(source)["unigram"] == pytest.approx(math.log(V), rel=1e-12)


def test_a_tag_saves_finding_out_the_domain():
    plain = Domains(0, n_domains=K, vocab_size=V, seq_len=S)
    tagged = Domains(0, n_domains=K, vocab_size=V, seq_len=S, hidden_tag=True)
    found = {rung.name: rung for rung in tagged.ladder()}
    assert rungs(plain)["bayes"] > rungs(plain)["oracle"] + 0.01
    assert abs(found["bayes"].loss - found["oracle"].loss) < 4 * found["bayes"].error


@pytest.mark.parametrize("generator", GENERATORS)
def test_without_separation_experts_have_nothing_to_know(generator):
    source = Domains(0, generator=generator, n_domains=K, vocab_size=V, separation=0.0)
    ladder = {rung.name: rung for rung in source.ladder()}
    assert ladder["oracle"].loss == pytest.approx(ladder["bigram"].loss, rel=1e-12)
    assert abs(ladder["bayes"].loss - ladder["oracle"].loss) <= 4 * ladder["bayes"].error + 1e-12


def test_without_domains_knowing_the_last_token_is_all():
    ladder = {rung.name: rung for rung in Domains(0, n_domains=1, vocab_size=V).ladder()}
    assert abs(ladder["bayes"].loss - ladder["bigram"].loss) < 4 * ladder["bayes"].error


def test_with_one_common_law_every_rung_is_its_entropy():
    source = Domains(0, vocab_size=V, common=1.0)
    expected = float(entropy(source.mixture.first))
    assert [r.loss for r in source.ladder()[1:]] == pytest.approx([expected] * 4)


def test_the_bayes_rung_is_not_measured_on_evaluation_or_training_data(source):
    for batch in (source.held_out(512 * S), source.batch(0, 0, 512)):
        law = source.bayes(batch)
        assert entropy(law).mean() != pytest.approx(rungs(source)["bayes"])


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
        {"separation": 0.5},
        {"switching": 0.1},
        {"hidden_tag": True},
        {"domain_zipf": 1.0},
        {"concentration": 1.0},
        {"concentration": 1.0, "cluster_size": 12},
    ]
    found = {fingerprint(**options) for options in variants} | {fingerprint(seed=1)}
    assert len(found) == 12
    assert fingerprint() == fingerprint(seq_len=32) == fingerprint(cluster_size=12)
    assert fingerprint(domain_weights=(2.0,) * 8) == fingerprint()


def test_new_settings_at_their_defaults_draw_what_they_always_drew():
    # A domain is the upper bits of its word, a token the quantile of its own: see the stream.
    source = Domains(3, n_domains=5, vocab_size=V, seq_len=S)
    stream = source.stream.at("train", 2)
    batch = source.batch(2, 0, 100)
    expected = stream.integers("domain", (100,)) * 5 >> 24
    np.testing.assert_array_equal(batch.domains[:, 0].numpy(), expected)
    first = np.searchsorted(source.mixture.first.cumsum(), stream.uniform("token", (100, S + 1)))
    np.testing.assert_array_equal(batch.inputs[:, 0].numpy(), first[:, 0])


# The most probable domain


def test_the_most_probable_domain_maximises_the_posterior(variant):
    batch = variant.batch(1, 0, 50)
    beliefs = np.stack(list(variant.mixture.beliefs(batch.inputs.numpy())), axis=1)
    guessed = variant.map_domains(batch)
    assert guessed.shape == (50, S)
    best = np.take_along_axis(beliefs, guessed[..., None], -1)[..., 0]
    assert (best == beliefs.max(-1)).all()


def test_the_most_probable_domain_is_the_lowest_of_equals():
    source = Domains(0, n_domains=K, vocab_size=V, separation=0.0, domain_weights=(1.0, 2.0, 2.0))
    assert (source.map_domains(source.batch(1, 0, 5)) == 1).all()


def test_the_most_probable_domain_is_soon_the_true_one():
    source = Domains(0, n_domains=4, vocab_size=64, common=0.1)
    batch = source.batch(1, 0, 500)
    right = (source.map_domains(batch) == batch.domains.numpy()).mean(0)
    assert right[0] < 0.4
    assert right[8:].min() > 0.95


def test_the_domain_is_told_by_a_tag():
    source = Domains(0, n_domains=K, vocab_size=V, hidden_tag=True)
    batch = source.batch(1, 0, 20)
    assert (source.map_domains(batch) == batch.domains.numpy()).all()
