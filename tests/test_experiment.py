from pathlib import Path

import pytest
import torch
from conftest import build_experiment

from moe_lab.config import Config, load
from moe_lab.experiment import build, learning_rate
from moe_lab.loop import train_step

CONFIGS = Path(__file__).parents[1] / "configs"
LOADED = sorted(set(CONFIGS.rglob("*.yaml")) - {CONFIGS / "sweep.yaml"})  # which is no config
TEXT = Path(__file__).parent / "data" / "shakespeare.txt"


@pytest.mark.parametrize("path", LOADED, ids=lambda path: path.stem)
def test_every_config_of_the_repository_can_be_built(path: Path):
    overrides = [f"data.path={TEXT}"] if path.stem == "text" else []
    resolved = load(path, overrides)
    assert resolved.config.name == path.stem
    assert build(resolved.config, torch.device("cpu")).model.moe_layers()


def test_the_base_config_states_every_key_at_its_default():
    resolved = load(CONFIGS / "base.yaml")
    assert resolved.config == Config(name="base")
    defaults = [key for key, origin in resolved.origins.items() if origin == "default"]
    assert defaults == []


def test_collapse_and_healthy_differ_in_alpha_alone():
    configs = [load(CONFIGS / f"{name}.yaml").config for name in ("collapse", "healthy")]
    assert [config.moe.alpha for config in configs] == [0, 0.01]
    same = [config.model_dump() for config in configs]
    for config in same:
        del config["name"], config["moe"]["alpha"]
    assert same[0] == same[1]


def schedule(**train: object) -> list[float]:
    config = load(None, [f"{key}={value}" for key, value in train.items()]).config
    return [learning_rate(config, step) for step in range(1, config.train.steps + 1)]


def test_the_learning_rate_warms_up_and_falls_along_a_half_cosine():
    rates = schedule(steps=10, warmup=2, lr=1)
    # steps 3 … 10 are 0/8 … 7/8 of the way: (1 + cos(pi * n/8)) / 2
    assert rates == pytest.approx(
        [0.5, 1, 1, 0.96194, 0.85355, 0.69134, 0.5, 0.30866, 0.14645, 0.03806], abs=1e-5
    )


def test_a_constant_learning_rate_stays_after_the_warm_up():
    assert schedule(steps=5, warmup=2, lr=4, lr_schedule="constant") == [2, 4, 4, 4, 4]
    assert schedule(steps=3, warmup=0, lr=4, lr_schedule="constant") == [4, 4, 4]


def test_a_warm_up_longer_than_the_run_is_cut_off():
    assert schedule(steps=2, warmup=4, lr=1) == [0.25, 0.5]


def test_an_update_uses_the_scheduled_rate():
    experiment = build_experiment("steps=4", "warmup=2", "lr=0.5")
    used = [train_step(experiment, step).lr for step in (1, 2)]
    assert used == [0.25, 0.5]
    assert {group["lr"] for group in experiment.optimizer.param_groups} == {0.5}


def test_only_matrices_decay():
    experiment = build_experiment("weight_decay=0.3", "init_tilt=1")
    decay = {
        id(parameter): group["weight_decay"]
        for group in experiment.optimizer.param_groups
        for parameter in group["params"]
    }
    for name, parameter in experiment.model.named_parameters():
        exempt = name.endswith(("gain", "bias"))
        assert decay[id(parameter)] == (0 if exempt else 0.3), name


def test_a_restored_experiment_goes_on_with_the_same_numbers():
    settings = ("n_experts=12", "noise=0.5", "batch_size=2")  # a window of 8 steps
    one, other = build_experiment(*settings), build_experiment(*settings)
    for step in range(1, 8):
        train_step(one, step)
    other.restore(one.state(7))
    assert [train_step(one, step) for step in (8, 9)] == [train_step(other, s) for s in (8, 9)]
    assert one.state(9).extra == other.state(9).extra
    for arrays in ("model", "optimizer"):
        mine, yours = getattr(one.state(9), arrays), getattr(other.state(9), arrays)
        assert mine.keys() == yours.keys()
        assert all((mine[name] == yours[name]).all() for name in mine)


def test_the_untrained_state_has_no_moments():
    state = build_experiment().state(0)
    assert (state.step, dict(state.optimizer)) == (0, {})


def test_verdicts_survive_a_restore():
    one, other = build_experiment(), build_experiment()
    collapsed = one.watches[1]
    for step in range(1, 61):
        collapsed.update(step, torch.tensor([1.0, 0, 0, 0]).double().numpy())
    other.restore(one.state(0))
    assert other.watches[1].onsets == [1]
    assert other.watches[1].verdict() == "collapsed"
    assert other.watches[0].average is None


def test_tokens_per_step_counts_all_micro_batches():
    # 4 sequences of 16 tokens, three times
    assert build_experiment("accumulate=3").tokens_per_step == 192


@pytest.mark.parametrize("setting", ["noise=2", "alpha=1", "capacity_factor=0.5", "top_k=2"])
def test_the_levers_move_neither_data_nor_initial_weights(setting: str):
    plain, changed = build_experiment(), build_experiment(setting)
    mine, yours = plain.state(0).model, changed.state(0).model
    assert all((mine[name] == yours[name]).all() for name in mine)
    for step in (1, 7):
        a, b = plain.source.batch(step, 0, 4), changed.source.batch(step, 0, 4)
        assert torch.equal(a.inputs, b.inputs)
        assert torch.equal(a.targets, b.targets)
    assert all(
        torch.equal(a.inputs, b.inputs)
        for a, b in zip(plain.probe.parts, changed.probe.parts, strict=True)
    )
