import math

import pytest
import torch

from moe_lab import columns, metrics
from moe_lab.tally import Reading, Tally

LOSSES = {"switch": torch.tensor(1.5), "router_z": torch.tensor(0.5)}


@pytest.fixture
def reading(record) -> Reading:
    """Two batches of different size, 3 experts, k = 2: 2 tokens and then 3."""
    tally = Tally()
    first = torch.tensor([[3.0, 1.0, 0.0], [0.0, 2.0, 1.0]])
    tally.add(record([[0, 1], [1, 2]], logits=first, kept=[True, False] * 2), LOSSES)
    second = torch.zeros(3, 3)
    losses = {"switch": torch.tensor(2.5), "router_z": torch.tensor(1.5)}
    tally.add(record([[0, 1]] * 3, logits=second, ties=3), losses)
    return tally.read()


def test_counts_ties_and_drops_are_sums_over_batches(reading):
    assert reading.counts == [1 + 3, 2 + 3, 1]
    assert reading.router_ties == 3
    assert reading.dropped == 2 / 10  # of the assignments of all batches


def test_margin_and_router_entropy_are_means_over_all_tokens(reading):
    # k = 2: margins 1 - 0, 1 - 0, and 0 three times
    assert reading.margin == pytest.approx((1 + 1 + 0) / 5)
    terms = []
    for logits in ([3.0, 1.0, 0.0], [0.0, 2.0, 1.0]):
        total = sum(math.exp(z) for z in logits)
        terms.append(-sum(math.exp(z) / total * math.log(math.exp(z) / total) for z in logits))
    expected = (sum(terms) + 3 * math.log(3)) / 5 / math.log(3)
    assert reading.router_entropy == pytest.approx(expected)


def test_losses_are_means_over_batches_by_their_tokens(reading):
    # (1.5 * 2 + 2.5 * 3) / 5 = 2.1 and (.5 * 2 + 1.5 * 3) / 5 = 1.1; batches alone: 2 and 1
    assert reading.raw == pytest.approx({"switch": 2.1, "router_z": 1.1})
    assert reading.aux_row({"switch": 0.01, "router_z": 0.0}) == {
        "switch_raw": pytest.approx(2.1),
        "switch_weighted": pytest.approx(0.021),
        "router_z_raw": pytest.approx(1.1),
        "router_z_weighted": 0.0,
    }


def test_load_cv_and_n_eff_are_those_of_the_pooled_counts(reading):
    # q = .4, .5, .1: sum q^2 = .42; cv = sqrt(3 * .42 - 1) = .5099
    assert reading.load.tolist() == [0.4, 0.5, 0.1]
    assert reading.cv == pytest.approx(math.sqrt(0.26))
    h = -sum(q * math.log(q) for q in (0.4, 0.5, 0.1))
    assert reading.n_eff == pytest.approx(math.exp(h))


def test_rows_fill_exactly_their_columns(reading):
    assert reading.utilization_row() == {"expert_00": 0.4, "expert_01": 0.5, "expert_02": 0.1}
    row = reading.cv_row(None)
    dead = {"dead_experts", "starved_experts"}  # of a window that is long enough
    assert set(row) == set(columns.names(columns.CV)) - set(columns.names(columns.PLACE)) - dead
    assert set(reading.cv_row(metrics.Deaths(0.0, 0.0))) == set(row) | dead
    assert row["assignments"] == 10
    assert row["cv_floor"] == pytest.approx(math.sqrt((3 - 2) / (2 * 5)))


def test_with_k_equal_to_e_there_is_no_margin_and_no_collapse(record):
    tally = Tally()
    tally.add(record([[0, 1]] * 4, n_experts=2), LOSSES)
    reading = tally.read()
    assert reading.margin is None
    assert reading.cv_row(None)["collapse_index"] is None
    assert reading.router_entropy == pytest.approx(1)


def test_counts_can_be_read_before_the_end_and_keep_no_graph(record):
    tally = Tally()
    logits = torch.zeros(2, 3, requires_grad=True)
    routing = record([[0], [2]], logits=logits)
    tally.add(routing, {"switch": routing.importance().sum()})
    assert tally.counts().tolist() == [1, 0, 1]
    assert not tally.counts().requires_grad


def test_large_counts_are_exact(record):
    tally = Tally()
    routing = record([[0]] * 1000 + [[1]] * 1001, n_experts=2)
    for _ in range(50):
        tally.add(routing, {})
    assert tally.read().counts == [50_000, 50_050]


def test_confidence_and_logit_norm_are_means_over_tokens(reading):
    # logits (3, 1, 0), (0, 2, 1) and three times 0; largest probabilities e^3/(e^3+e+1), e^2/(1+e^2+e), 1/3
    e = math.e
    largest = [e**3 / (e**3 + e + 1), e**2 / (1 + e**2 + e), 1 / 3, 1 / 3, 1 / 3]
    assert reading.confidence == pytest.approx(sum(largest) / 5)
    assert reading.logit_norm == pytest.approx((math.sqrt(10) + math.sqrt(5)) / 5)


def test_what_was_kept_is_measured_too_and_only_if_something_was_dropped(record, reading):
    # kept 4, 4, 0 of 4, 5, 1: q = 1/2, 1/2, 0: cv = sqrt(3/2 - 1), max 3/2 - 1, n_eff 2
    assert reading.kept == [4, 4, 0]
    row = reading.cv_row(None)
    assert row["cv_kept"] == pytest.approx(math.sqrt(0.5))
    assert row["max_violation_kept"] == pytest.approx(0.5)
    assert row["n_eff_kept"] == pytest.approx(2)
    tally = Tally()
    tally.add(record([[0], [1]], n_experts=2), {})
    assert tally.read().cv_row(None).keys().isdisjoint({"cv_kept", "n_eff_kept"})
