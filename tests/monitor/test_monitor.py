"""What is counted: loops of a small model that is not ours, and of ours."""

import json

import pytest
import torch
from conftest import build_experiment, rows, small

from moe_lab.config import load
from moe_lab.errors import ConfigError
from moe_lab.loop import train_step
from moe_lab.monitor import RouterMonitor
from moe_lab.progress import Silent
from moe_lab.session import train

from .conftest import VOCAB, by_hand, counts, record, tokens


@pytest.mark.parametrize("top_k", [1, 2, 4])
def test_counts_are_those_of_the_indices(toy, watch, top_k):
    model = toy((4, top_k))
    directory = record(watch(model), model, tokens(3, 5))
    assert counts(directory, 1, 0) == by_hand(model, 0, tokens(3, 5))


def test_a_step_is_all_its_micro_batches(toy, watch):
    model = toy()
    batches = [tokens(2, 5, seed=seed) for seed in range(3)]
    with watch(model) as monitor:
        for batch in batches:
            model(batch).backward()
        monitor.step()
        model(batches[0])
        monitor.step()
    assert counts(monitor.directory, 1, 0) == by_hand(model, 0, *batches)
    assert counts(monitor.directory, 2, 0) == by_hand(model, 0, batches[0])
    assert [row["tokens"] for row in rows(monitor.directory, "steps")] == ["30", "40"]


def test_dense_layers_have_no_rows(toy, watch):
    model = toy(None, (4, 2), None, (4, 2))
    directory = record(watch(model), model, tokens(2, 5))
    assert [row["layer"] for row in rows(directory, "cv")] == ["1", "3"]
    assert json.loads((directory / "run.json").read_text())["routers"] == {
        "1": "layers.1.gate",
        "3": "layers.3.gate",
    }


def test_passes_in_evaluation_mode_or_without_gradient_are_not_counted(toy, watch):
    model = toy()
    with watch(model) as monitor:
        model(tokens(2, 5))
        model.eval()(tokens(7, 3, seed=1))
        with torch.no_grad():
            model.train()(tokens(7, 3, seed=2))
        monitor.step()
    assert counts(monitor.directory, 1, 0) == by_hand(model, 0, tokens(2, 5))


def test_a_router_called_outside_the_model_is_not_counted(toy, watch):
    model = toy()
    with watch(model) as monitor:
        model(tokens(2, 5))
        model.layers[0](torch.randn(4, 4, 8))
        monitor.step()
    assert counts(monitor.directory, 1, 0) == by_hand(model, 0, tokens(2, 5))


def test_a_pass_that_fails_leaves_the_monitor_closed(toy, watch):
    model = toy()
    with watch(model) as monitor:
        with pytest.raises(IndexError):
            model(torch.full((2, 5), VOCAB))
        model.layers[0](torch.randn(4, 4, 8))
        model(tokens(2, 5))
        monitor.step()
    assert counts(monitor.directory, 1, 0) == by_hand(model, 0, tokens(2, 5))


def test_an_evaluation_is_counted_by_itself(toy, watch):
    model = toy()
    with watch(model) as monitor:
        with monitor.evaluation() as evaluation:
            evaluation.loss = model.eval()(tokens(7, 3, seed=1))
        model.train()(tokens(2, 5))
        monitor.step(2.5, lr=0.1, grad_norm=torch.tensor(3.0))
        with monitor.evaluation(), torch.no_grad():
            model(tokens(7, 3, seed=2))
    directory = monitor.directory
    assert counts(directory, 0, 0, "eval") == by_hand(model, 0, tokens(7, 3, seed=1))
    assert counts(directory, 1, 0, "eval") == by_hand(model, 0, tokens(7, 3, seed=2))
    assert counts(directory, 1, 0) == by_hand(model, 0, tokens(2, 5))
    first, second = rows(directory, "eval")
    assert (first["step"], second["step"]) == ("0", "1")
    assert float(first["lm_loss"]) == pytest.approx(model(tokens(7, 3, seed=1)).item())
    assert second["lm_loss"] == ""
    (step,) = rows(directory, "steps")
    assert (step["loss"], step["lr"], step["grad_norm"], step["lm_loss"]) == (
        "2.5",
        "0.1",
        "3.0",
        "",
    )


@pytest.mark.parametrize("by_position", [False, True])
def test_padding_is_left_out(toy, watch, by_position):
    model = toy()
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    with watch(model) as monitor:
        model(tokens(2, 5), mask) if by_position else model(tokens(2, 5), attention_mask=mask)
        monitor.step()
    real = tokens(2, 5)[mask.bool()].view(1, 8)
    assert counts(monitor.directory, 1, 0) == by_hand(model, 0, real)


def test_a_mask_can_be_a_function_of_the_arguments(toy, watch):
    model = toy()
    with watch(model, mask=lambda batch: batch != 3) as monitor:
        model(tokens(4, 8))
        monitor.step()
    real = tokens(4, 8)[tokens(4, 8) != 3].view(1, -1)
    assert 0 < real.numel() < 32
    assert counts(monitor.directory, 1, 0) == by_hand(model, 0, real)


def test_without_a_mask_everything_is_counted(toy, watch):
    model = toy()
    with watch(model, mask=None) as monitor:
        model(tokens(2, 5), torch.zeros(2, 5))
        monitor.step()
    assert counts(monitor.directory, 1, 0) == by_hand(model, 0, tokens(2, 5))


def test_a_pass_of_padding_alone_counts_for_nothing(toy, watch):
    model = toy()
    with watch(model) as monitor:
        model(tokens(2, 5), torch.zeros(2, 5))
        model(tokens(2, 5))
        monitor.step()
    assert counts(monitor.directory, 1, 0) == by_hand(model, 0, tokens(2, 5))


def test_a_mask_of_more_dimensions_is_refused(toy, watch):
    model = toy()
    with pytest.raises(ConfigError, match="4 dimensions"), watch(model):
        model(tokens(2, 5), torch.zeros(2, 1, 5, 5))


def test_gradients_are_those_without_a_monitor(toy, watch):
    def gradients(model) -> list[torch.Tensor]:
        model(tokens(3, 5)).backward()
        return [parameter.grad for parameter in model.parameters()]

    alone = gradients(toy((4, 2), (4, 2)))
    model = toy((4, 2), (4, 2))
    with watch(model):
        watched = gradients(model)
    assert all(map(torch.equal, alone, watched))


def test_the_model_is_left_as_it_was(toy, watch):
    model = toy()
    record(watch(model), model, tokens(2, 5))
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]
    assert not any(hooks)


@pytest.mark.parametrize("setting", ["noise=0", "accumulate=2", "capacity_factor=1"])
def test_our_own_model_reads_as_in_our_own_loop(tmp_path, setting):
    """Accumulation has passes without gradient before a step's first loss: they are not counted twice."""
    settings = ["steps=3", setting]
    asked = load(None, small("name=own", *settings))
    train(asked, runs_dir=tmp_path, exact=True, reporter=Silent())
    experiment = build_experiment(*settings)
    with RouterMonitor(experiment.model, tmp_path / "watched") as monitor:
        for step in (1, 2, 3):
            train_step(experiment, step)
            monitor.step()
    for table in ("utilization", "cv"):
        own = rows(tmp_path / "own", table, split="train")
        assert own == rows(tmp_path / "watched", table), table
