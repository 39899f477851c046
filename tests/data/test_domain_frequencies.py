"""How often domains come: in a sequence, in a cluster of sequences and over all."""

import math

import numpy as np
import pytest
import torch

from moe_lab.data.domains import Domains

K, V = 3, 16


def test_domains_are_equally_frequent_and_constant_in_a_sequence():
    source = Domains(0, n_domains=K, vocab_size=V, seq_len=12)
    labels = source.batch(1, 0, 9000).domains
    assert (labels == labels[:, :1]).all()
    counts = labels[:, 0].bincount(minlength=K)  # 3000 each, sd sqrt(9000 * 1/3 * 2/3) = 44.7
    assert (counts - 3000).abs().max() < 5 * 44.7
    assert source.domains == ("domain_0", "domain_1", "domain_2")
    assert Domains(0, n_domains=11, vocab_size=V).domains[10] == "domain_10"
    assert Domains(0, n_domains=11, vocab_size=V).domains[1] == "domain_01"


def test_domains_are_as_frequent_as_their_weights():
    def shares(**options: object) -> np.ndarray:
        labels = Domains(0, n_domains=K, vocab_size=V, seq_len=8, **options).batch(1, 0, 10_000)
        return labels.domains[:, 0].bincount(minlength=K).numpy() / 10_000

    # 1 : 1/2 : 1/3 is 6 : 3 : 2; five standard deviations are at most 5 * .5 / 100 = .025.
    assert abs(shares(domain_zipf=1.0) - np.array([6, 3, 2]) / 11).max() < 0.025
    assert abs(shares(domain_weights=(1.0, 0.5, 8.5)) - [0.1, 0.05, 0.85]).max() < 0.025


def test_the_domain_switches_as_often_as_it_should():
    # It changes if it is drawn anew (.2) and differs (2/3): 2/15 of 99,000 places, sd .0011.
    labels = Domains(0, n_domains=K, vocab_size=V, seq_len=100, switching=0.2).batch(1, 0, 1000)
    changes = (labels.domains[:, 1:] != labels.domains[:, :-1]).double().mean().item()
    assert abs(changes - 2 / 15) < 0.0055
    counts = labels.domains.flatten().bincount(minlength=K) / 100_000
    assert (counts - 1 / 3).abs().max() < 0.02


def clustered(concentration: float | None, **options: object) -> Domains:
    return Domains(
        0, vocab_size=V, seq_len=8, concentration=concentration, cluster_size=6, **options
    )


def test_with_almost_no_concentration_every_cluster_is_of_one_domain():
    labels = clustered(1e-9).batch(1, 0, 600).domains[:, 0].view(100, 6)
    assert (labels == labels[:, :1]).all()
    assert len(labels.unique()) == 8


def test_with_endless_concentration_sequences_are_independent():
    independent, concentrated = clustered(None).batch(1, 0, 600), clustered(1e6).batch(1, 0, 600)
    # A copy has probability (0 + 1 + … + 5) / 6 / 1e6 = 2.5e-6: none in 600.
    assert torch.equal(concentrated.inputs, independent.inputs)
    assert torch.equal(concentrated.domains, independent.domains)


def test_a_cluster_has_the_frequencies_of_a_dirichlet_draw():
    # Of n draws from Dirichlet(c / K), the share of a domain has variance
    # p (1 - p) (1 + (n - 1) / (1 + c)) / n: with K = 8, c = 2, n = 6 it is .109375 * 8/3 / 6 = .048611.
    labels = clustered(2.0).batch(1, 0, 60_000).domains[:, 0].view(10_000, 6)
    shares = torch.stack([(labels == d).double().mean(1) for d in range(8)])
    assert abs(shares.mean(1) - 1 / 8).max() < 5 * math.sqrt(0.048611 / 10_000)
    assert shares.var(1).mean().item() == pytest.approx(0.048611, rel=0.03)


def test_held_out_data_are_never_clustered():
    for part in ("inputs", "domains"):
        one, other = (getattr(clustered(c).held_out(800), part) for c in (1e-9, None))
        assert torch.equal(one, other)


def test_a_cluster_does_not_depend_on_how_a_step_is_divided():
    source = clustered(0.5, switching=0.1)
    whole = source.batch(1, 0, 30)
    parts = [source.batch(1, first, size) for first, size in ((0, 7), (7, 1), (8, 22))]
    assert torch.equal(whole.inputs, torch.cat([part.inputs for part in parts]))
    assert torch.equal(whole.domains, torch.cat([part.domains for part in parts]))
