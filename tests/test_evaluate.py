import math

import numpy as np
import pytest
import torch
from conftest import build_experiment
from torch.nn import functional as F

from moe_lab import metrics
from moe_lab.config import load
from moe_lab.evaluate import Evaluation, divergence
from moe_lab.experiment import Experiment, build
from moe_lab.loop import train_step
from moe_lab.streams import Stream


def trained(*settings: str, steps: int = 3) -> Experiment:
    """A few steps on, so that the optimizer has a state."""
    experiment = build_experiment("alpha=0.1", *settings)
    for step in range(1, steps + 1):
        train_step(experiment, step)
    return experiment


def evaluate(experiment: Experiment) -> Evaluation:
    return experiment.probe.evaluate(experiment.model)


def content(found: Evaluation) -> tuple[object, ...]:
    """All of an evaluation, in a form that can be compared."""
    arrays = {name: (array.shape, array.tobytes()) for name, array in found.arrays().items()}
    layers = {i: (portrait.reading, portrait.row) for i, portrait in found.layers.items()}
    return found.row(), layers, arrays


def bits(experiment: Experiment) -> dict[str, bytes]:
    """Everything that training goes on from."""
    state = experiment.state(1)
    arrays = {**state.model, **state.optimizer}
    buffers = {name: b.numpy() for name, b in experiment.model.named_buffers()}
    return {name: array.tobytes() for name, array in {**arrays, **buffers}.items()}


@pytest.mark.parametrize("training", [True, False])
def test_an_evaluation_leaves_everything_as_it_was(training):
    experiment = trained("noise=1")
    experiment.model.train(training)
    before = bits(experiment)
    grads = [parameter.grad.clone() for parameter in experiment.model.parameters()]
    evaluate(experiment)
    assert bits(experiment) == before
    assert all(module.training == training for module in experiment.model.modules())
    left = [parameter.grad for parameter in experiment.model.parameters()]
    assert all(torch.equal(one, other) for one, other in zip(left, grads, strict=True))


def test_evaluating_between_steps_does_not_change_a_bit_of_later_training():
    plain, evaluated = (build_experiment("noise=1", "capacity_factor=1") for _ in range(2))
    for step in range(1, 5):
        evaluate(evaluated)
        assert train_step(plain, step) == train_step(evaluated, step)
    assert bits(plain) == bits(evaluated)


def test_an_evaluation_is_the_same_twice_and_for_an_equal_model():
    experiment = trained("noise=1")
    first = content(evaluate(experiment))
    assert first == content(evaluate(experiment)) == content(evaluate(trained("noise=1")))


class Left(Exception):
    pass


@pytest.mark.parametrize("looks", [1, 2, 3, 10])
def test_an_evaluation_can_be_left_before_any_of_its_forward_passes(looks):
    # two parts, then one pass for each of 4 experts in each of 2 layers
    experiment = trained("eval.ablation=true")
    before, passes = bits(experiment), iter(range(looks - 1))

    def between() -> None:
        if next(passes, None) is None:
            raise Left

    with pytest.raises(Left):
        experiment.probe.evaluate(experiment.model, between)
    assert experiment.model.training
    assert bits(experiment) == before


def test_an_evaluation_has_no_noise():
    # Untrained: the weights are equal, whatever the noise.
    noisy, plain = (evaluate(build_experiment(f"noise={noise}")) for noise in (5, 0))
    assert content(noisy) == content(plain)


def test_an_evaluation_drops_nothing_unless_it_is_asked_to():
    def dropped(*settings: str) -> list[float]:
        found = evaluate(build_experiment("capacity_factor=0.5", *settings))
        return [portrait.reading.dropped for portrait in found.layers.values()]

    assert dropped() == [0, 0]
    assert min(dropped("eval_capacity_factor=0.5")) >= 0.5


@pytest.mark.parametrize("top_k", [1, 2])
def test_an_evaluation_is_what_a_plain_forward_pass_says(top_k):
    experiment = trained(f"top_k={top_k}", "tokens=160")  # 10 sequences: batches of 4, 4 and 2
    found = evaluate(experiment)
    source, model = experiment.source, experiment.model.eval()
    batch = source.held_out(160)
    with torch.no_grad():
        logits, routings = model(batch.inputs, Stream(0))
    losses = F.cross_entropy(logits.mT, batch.targets, reduction="none").double()
    assert found.lm_loss == pytest.approx(losses.mean().item(), rel=1e-6)
    for d, domain in enumerate(source.domains):
        its = losses[batch.domains == d]
        expected = its.mean().item() if len(its) else None
        assert found.by_domain[f"{domain}_loss"] == pytest.approx(expected, rel=1e-6)
    for layer, routing in routings.items():
        assert found.layers[layer].reading.counts == routing.counts().tolist()
    best = source.bayes(batch)
    kl = (best * (np.log(best) - logits.double().log_softmax(-1).numpy())).sum(-1)
    assert found.gap == pytest.approx(kl.mean(), rel=1e-6)
    by_domain = {f"{d}_{what}" for d in source.domains for what in ("loss", "gap")}
    assert found.row().keys() == {"lm_loss", "gap", "nmi"} | by_domain


def test_the_gap_is_the_loss_above_the_best_predictors_without_its_sampling_noise():
    experiment = trained("tokens=2048")
    found, batch = evaluate(experiment), experiment.source.held_out(2048)
    best = experiment.source.bayes(batch)
    chosen = np.take_along_axis(best, batch.targets.numpy()[..., None], -1)
    excess = found.lm_loss + np.log(chosen).mean()
    assert found.gap == pytest.approx(excess, abs=0.05)
    assert found.gap > 0


def test_the_divergence_of_two_small_laws():
    # p = (1/2, 1/4, 1/4), q = (1/4, 1/4, 1/2): 1/2 ln 2 + 0 - 1/4 ln 2 = 1/4 ln 2
    p = torch.tensor([[[0.5, 0.25, 0.25]]], dtype=torch.float64)
    logits = torch.tensor([[[1.0, 1.0, 2.0]]]).log() + 7  # q up to a constant
    assert divergence(p, logits).item() == pytest.approx(math.log(2) / 4, rel=1e-6)
    assert divergence(p, p.log()).item() == pytest.approx(0, abs=1e-15)


def test_nmi_is_the_mean_over_layers_of_their_own_and_leaves_out_the_first_positions():
    experiment = build_experiment("tokens=1024", "top_k=2")
    batch = experiment.source.held_out(1024)
    with torch.no_grad():
        _, routings = experiment.model.eval()(batch.inputs, Stream(0))
    domains = batch.domains[:, 8:, None].expand(-1, -1, 2).flatten(1).numpy()
    shuffles = [np.random.default_rng(i).permutation(64) for i in range(100)]
    found = [
        metrics.nmi(r.expert.view(64, 16, 2)[:, 8:].flatten(1).numpy(), domains, shuffles, (4, 4))
        for r in routings.values()
    ]
    # The same but for the shuffles that its null is averaged over.
    assert evaluate(experiment).nmi == pytest.approx(np.mean(found), abs=0.01)


def test_a_source_of_one_domain_has_no_nmi_and_no_loss_per_domain():
    found = evaluate(build_experiment("n_domains=1"))
    assert (found.nmi, found.by_domain) == (None, {})
    assert found.row().keys() == {"lm_loss", "gap", "nmi"}


def test_a_probe_in_which_one_domain_occurs_has_no_nmi():
    found = evaluate(build_experiment("tokens=16"))  # one sequence
    assert found.nmi is None
    assert sum(loss is not None for loss in found.by_domain.values()) == 2  # its loss and its gap


def test_text_has_neither_gap_nor_nmi(tmp_path):
    (tmp_path / "a.txt").write_bytes(np.random.default_rng(0).bytes(2000))
    config = load(None, ["source=text", f"path={tmp_path}/a.txt", "seq_len=16"]).config
    found = evaluate(build(config, torch.device("cpu")))
    assert (found.gap, found.nmi, found.by_domain) == (None, None, {})
    assert found.lm_loss > 0


def test_gaps_by_domain_and_by_position_are_the_gap_divided_otherwise():
    found = evaluate(trained("tokens=1024"))
    batch = build_experiment("tokens=1024").source.held_out(1024)
    share = [float((batch.domains == d).float().mean()) for d in range(4)]
    by_domain = [found.by_domain[f"domain_{d}_gap"] for d in range(4)]
    assert np.dot(share, by_domain) == pytest.approx(found.gap, rel=1e-6)
    assert found.by_position["gap_by_position"].mean() == pytest.approx(found.gap, rel=1e-9)
    assert found.by_position["loss_by_position"].shape == (16,)


def test_a_model_without_experts_is_evaluated_all_the_same():
    found = evaluate(build_experiment("moe_layers=none"))
    assert (found.nmi, found.layers) == (None, {})
    assert found.gap > 0


def test_zero_entries_of_the_best_predictor_add_nothing_to_the_divergence():
    # p = (1/2, 0, 1/2), q = (1/4, 1/4, 1/2): 1/2 ln 2 + 0 + 0
    p = torch.tensor([[[0.5, 0.0, 0.5]]], dtype=torch.float64)
    logits = torch.tensor([[[1.0, 1.0, 2.0]]]).log()
    assert divergence(p, logits).item() == pytest.approx(math.log(2) / 2, rel=1e-6)


def test_an_evaluation_that_is_not_finite_knows_its_loss_alone():
    experiment = trained()
    with torch.no_grad():
        experiment.model.blocks[0].feed_forward.router.weight[1] = math.nan
    found = evaluate(experiment)
    assert (
        found.fault == "the held-out loss became nan (router logits are not finite in layer 0, 1)"
    )
    assert math.isnan(found.row().pop("lm_loss"))
    assert (found.gap, found.nmi, found.layers, found.arrays()) == (None, None, {}, {})
    assert experiment.model.training
