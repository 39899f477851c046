"""One layer at one evaluation, against what can be counted by hand."""

import numpy as np
import pytest
import torch
from conftest import build_experiment

from moe_lab import columns, metrics
from moe_lab.experiment import Experiment
from moe_lab.portrait import Portrait
from moe_lab.routing.base import Routing
from moe_lab.streams import Stream


def portraits(experiment: Experiment) -> dict[int, Portrait]:
    return experiment.probe.evaluate(experiment.model).layers


def routings(experiment: Experiment) -> dict[int, Routing]:
    """The whole probe in one forward pass."""
    with torch.no_grad():
        batch = experiment.source.held_out(experiment.config.eval.tokens)
        return experiment.model.eval()(batch.inputs, Stream(0))[1]


@pytest.mark.parametrize("top_k", [1, 2])
def test_tables_count_every_assignment_once(top_k):
    experiment = build_experiment(f"top_k={top_k}", "tokens=160")
    batch = experiment.source.held_out(160)
    for layer, portrait in portraits(experiment).items():
        chosen = routings(experiment)[layer].expert.view(-1, top_k).tolist()
        by_token, by_domain = np.zeros((4, 32), int), np.zeros((4, 4), int)
        labels = zip(batch.inputs.flatten().tolist(), batch.domains.flatten().tolist(), strict=True)
        for experts, (token, domain) in zip(chosen, labels, strict=True):
            for expert in experts:
                by_token[expert, token] += 1
                by_domain[expert, domain] += 1
        assert portrait.arrays["experts"].tolist() == chosen
        assert portrait.arrays["expert_by_token"].tolist() == by_token.tolist()
        assert portrait.arrays["expert_by_domain"].tolist() == by_domain.tolist()
        assert ("coactivation" in portrait.arrays) == (top_k > 1)


def test_choices_take_the_smallest_type_that_holds_them():
    small = portraits(build_experiment("n_experts=16"))[0].arrays["experts"]
    assert small.dtype == np.uint8
    large = portraits(build_experiment("n_experts=264", "d_expert=8"))[0].arrays["experts"]
    assert large.dtype == np.uint16


def test_the_decomposition_over_batches_is_exact_and_leaves_out_a_smaller_last_batch():
    experiment = build_experiment("tokens=160")  # 10 sequences in batches of 4, 4 and 2
    row = portraits(experiment)[0].row
    expert = routings(experiment)[0].expert.numpy()
    halves = [
        metrics.load(np.bincount(part, minlength=4)) for part in (expert[:64], expert[64:128])
    ]
    cv2 = [metrics.cv(q) ** 2 for q in halves]
    assert row["batch_cv2"] == pytest.approx(np.mean(cv2))
    assert row["batch_cv2"] == pytest.approx(row["global_cv2"] + row["between_batches"], abs=1e-12)
    assert row["batch_floor"] == pytest.approx((4 - 1) / 64)


def test_drops_are_those_that_trainings_capacity_would_make_and_none_are_made():
    experiment = build_experiment("capacity_factor=0.5", "tokens=128")
    found = portraits(experiment)[1]
    assert found.reading.dropped == 0
    assert found.row["over_capacity"] >= 0.5  # half a fair share of slots
    by_position = found.arrays["dropped_by_position"]
    assert by_position.mean() == pytest.approx(found.row["over_capacity"])
    batch = experiment.source.held_out(128)
    share = np.bincount(batch.domains.numpy().ravel(), minlength=4) / 128
    by_domain = np.nan_to_num(found.arrays["dropped_by_domain"])
    assert share @ by_domain == pytest.approx(found.row["over_capacity"])


def test_with_equal_experts_outputs_are_one_and_with_random_ones_they_are_as_the_null():
    experiment = build_experiment("n_experts=8", "d_model=32", "d_expert=32")
    layer = experiment.model.moe_layers()[0]
    untrained = portraits(experiment)[0].row
    assert untrained["output_cosine"] == pytest.approx(untrained["output_cosine_null"], abs=0.1)
    assert untrained["cka"] == pytest.approx(untrained["cka_null"], abs=0.1)
    with torch.no_grad():
        for weight in (layer.experts.w_in, layer.experts.w_out):
            weight.copy_(weight[:1].expand_as(weight))
    same = portraits(experiment)[0].row
    assert same["output_cosine"] == pytest.approx(1, abs=1e-6)
    assert same["cka"] == pytest.approx(1, abs=1e-6)
    assert same["cka_null"] == untrained["cka_null"]


def test_a_router_of_domains_is_seen_through_and_one_of_tokens_is_not_taken_for_one():
    by_domain = "router={name: reference, assignment: domain}"
    by_token = "router={name: reference, assignment: token_hash}"
    settings = ("tokens=4096", "vocab_size=16", "seq_len=32", "n_domains=4", "n_experts=4")
    knows = portraits(build_experiment(by_domain, *settings))[0].row
    assert knows["nmi"] == pytest.approx(1, abs=0.05)
    assert knows["conditional_nmi"] == pytest.approx(1, abs=0.05)
    assert knows["token_specialization"] < 0.2
    hashed = portraits(build_experiment(by_token, *settings))[0].row
    assert hashed["token_specialization"] == pytest.approx(1, abs=0.02)
    assert abs(hashed["conditional_nmi"]) < 1e-9  # the token says all that its expert says
    blind = portraits(build_experiment("router={name: reference, assignment: random}", *settings))
    for name in ("nmi", "conditional_nmi", "token_specialization"):
        assert abs(blind[0].row[name]) < 0.02


def test_without_an_expert_the_loss_is_that_of_a_model_whose_expert_says_nothing():
    experiment = build_experiment("eval.ablation=true", "tokens=64")  # one batch
    probe, model = experiment.probe, experiment.model
    for layer, portrait in portraits(experiment).items():
        found = portrait.arrays["ablation"]
        whole = probe.evaluate(model).lm_loss
        w_out = model.moe_layers()[layer].experts.w_out
        for expert in range(4):
            with torch.no_grad():
                kept = w_out[expert].clone()
                w_out[expert] = 0
                silent = probe.evaluate(model).lm_loss
                w_out[expert] = kept
            assert found[expert] == pytest.approx(silent - whole, abs=1e-6)
        assert portrait.row["ablation_largest"] == found.max()
        assert portrait.row["ablation_smallest"] == found.min()


def test_an_expert_without_tokens_is_not_missed():
    single = "router={name: reference, assignment: single}"
    found = portraits(build_experiment("eval.ablation=true", single))[1].arrays["ablation"]
    assert found[0] != 0
    assert found[1:].tolist() == [0, 0, 0]


def test_every_array_of_an_evaluation_is_documented():
    settings = ("top_k=2", "capacity_factor=1", "eval.ablation=true", "moe_layers=[1]")
    experiment = build_experiment(*settings)
    found = experiment.probe.evaluate(experiment.model).arrays()
    named = {name.replace("layer_1.", "layer_N.") for name in found}
    assert named == set(columns.names(columns.ARRAYS))
