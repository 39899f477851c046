from pathlib import Path
from typing import Any

from moe_lab.report.compare import differences, flat, settings
from moe_lab.report.outcomes import Glance


def glance(config: dict[str, Any]) -> Glance:
    return Glance("x", Path("x"), "finished", 1, 1, config, {}, None)


def test_nested_settings_are_flat_with_dotted_keys():
    config = {"seed": 0, "moe": {"router": {"name": "top_k"}, "extra": ()}}
    assert list(flat(config)) == [("seed", 0), ("moe.router", "top_k"), ("moe.extra", ())]


def test_a_method_is_one_setting_with_the_options_that_are_not_at_their_defaults():
    router = {"name": "top_k", "score": "sigmoid", "renormalize": False, "jitter": 0.1}
    balance = {"name": "loss_free", "speed": 0.001, "rule": "sign"}
    assert dict(flat({"moe": {"router": router, "balance": balance}})) == {
        "moe.router": "top_k score=sigmoid jitter=0.1",
        "moe.balance": "loss_free",
    }


def test_alpha_is_no_setting_of_a_balancer_without_a_loss():
    moe = {"alpha": 0.01, "balance": {"name": "loss_free"}}
    assert settings({"moe": moe})["moe.alpha"] is None
    assert settings({"moe": {**moe, "balance": {"name": "switch"}}})["moe.alpha"] == 0.01


def test_only_what_differs_is_listed():
    runs = [
        glance({"seed": 0, "moe": {"alpha": 0.0, "noise": 1.0}}),
        glance({"seed": 0, "moe": {"alpha": 0.1, "noise": 1.0}}),
        glance({"seed": 0, "moe": {"alpha": 0.0, "noise": 1.0}}),
    ]
    assert differences(runs) == {"moe.alpha": [0.0, 0.1, 0.0]}


def test_a_key_that_one_run_does_not_have_differs():
    runs = [
        glance({"data": {"source": "domains", "n_domains": 8}}),
        glance({"data": {"source": "text", "path": "x.txt"}}),
    ]
    assert differences(runs) == {
        "data.source": ["domains", "text"],
        "data.n_domains": [8, None],
        "data.path": [None, "x.txt"],
    }


def test_the_name_is_the_heading_and_not_a_difference():
    assert differences([glance({"name": "a"}), glance({"name": "b"})]) == {}


def test_a_run_does_not_differ_from_itself():
    assert differences([glance({"seed": 0})]) == {}
