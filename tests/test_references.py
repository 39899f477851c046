"""Which runs can be compared with which, and what a run's references are."""

import pytest
from conftest import small

from moe_lab.config import Config, load
from moe_lab.references import role, settings


def asked(*overrides: str) -> Config:
    return load(None, small(*overrides)).config


LEVERS = (
    "name=other",
    "alpha=0.5",
    "noise=1",
    "capacity_factor=1.25",
    "balance=loss_free",
    "extra=[{name: router_z, weight: 1e-3}]",
    "router={name: top_k, score: sigmoid}",
    "init_tilt=2",
    "drop_order=random",
    "router_lr_factor=0",
    "log.every=2",
)
ANOTHER_TASK = (
    "seed=1",
    "steps=11",
    "d_expert=24",
    "top_k=2",
    "n_experts=8",
    "lr=1e-3",
    "zipf=1.1",
)


@pytest.mark.parametrize("lever", LEVERS)
def test_levers_leave_a_run_comparable(lever):
    assert role(asked(lever))["comparable"] == role(asked())["comparable"]


@pytest.mark.parametrize("change", ANOTHER_TASK)
def test_another_model_data_or_seed_is_not_comparable(change):
    before, after = role(asked()), role(asked(change))
    assert before["comparable"] != after["comparable"]
    assert before["comparable_dense"] != after["comparable_dense"]


def test_renormalised_gates_are_compared_with_renormalised_gates():
    plain, other = (role(asked("top_k=2", f"renormalize={r}")) for r in ("false", "true"))
    assert plain["comparable"] != other["comparable"]
    assert plain["comparable_dense"] == other["comparable_dense"]


def test_a_run_is_comparable_with_each_of_its_references():
    config = asked("alpha=0.1", "noise=1", "moe_layers=[1]", "top_k=2", "renormalize=true")
    own = role(config)
    assert (own["reference"], own["gate"]) == (None, "learned")
    for name, changes in settings(config).items():
        given = [*small("moe_layers=[1]", "top_k=2"), *changes]
        last = {setting.split("=", 1)[0].rpartition(".")[2]: setting for setting in given}
        reference = role(load(None, list(last.values())).config)
        assert (reference["reference"], reference["gate"]) == (name, "learned")
        key = "comparable_dense" if name == "dense" else "comparable"
        assert reference[key] == own[key]


def test_what_the_data_do_not_know_is_no_reference(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"a" * 1000)
    text = load(None, ["source=text", f"path={tmp_path}/a.txt"]).config
    assert list(settings(text)) == ["token_hash", "round_robin", "random", "single", "dense"]
    assert list(settings(asked()))[:2] == ["domain", "map_domain"]


def test_gate_one_is_a_role_of_its_own():
    router = "router={name: reference, assignment: single, gate: one}"
    assert role(asked(router)) == {**role(asked()), "reference": "single", "gate": "one"}
