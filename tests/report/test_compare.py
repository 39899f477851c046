from typing import Any

from moe_lab.report.compare import differences, flat, outcomes, settings


def summary(config: dict[str, Any]) -> dict[str, Any]:
    return {"config": config}


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
        summary({"seed": 0, "moe": {"alpha": 0.0, "noise": 1.0}}),
        summary({"seed": 0, "moe": {"alpha": 0.1, "noise": 1.0}}),
        summary({"seed": 0, "moe": {"alpha": 0.0, "noise": 1.0}}),
    ]
    assert differences(runs) == {"moe.alpha": [0.0, 0.1, 0.0]}


def test_a_key_that_one_run_does_not_have_differs():
    runs = [
        summary({"data": {"source": "domains", "n_domains": 8}}),
        summary({"data": {"source": "text", "path": "x.txt"}}),
    ]
    assert differences(runs) == {
        "data.source": ["domains", "text"],
        "data.n_domains": [8, None],
        "data.path": [None, "x.txt"],
    }


def test_the_name_is_the_heading_and_not_a_difference():
    assert differences([summary({"name": "a"}), summary({"name": "b"})]) == {}


def test_a_run_does_not_differ_from_itself():
    assert differences([summary({"seed": 0})]) == {}


def outcome(**changes: Any) -> dict[str, Any]:
    course = {"start": 7.0, "lowest": 1.5, "lowest_step": 90, "end": 1.6}
    course |= {"onsets": (20, 60), "recoveries": (50,)}
    return outcomes(
        {
            "verdict": "collapsed",
            "worst_layer": 1,
            "loss": {"lm_loss": 3.0, "gap": 0.4, "nmi": 0.1},
            "rho": 0.7,
            "balance": [
                {"layer": 0, "cv": 0.5},
                {"layer": "mean", "cv": 1.0, "cv_floor": 0.1},
                {"layer": "worst", "cv": 2.0, "max_violation": 5.0, "dead_experts": 0.5}
                | {"dropped": 0.25},
            ],
            "evidence": [{"layer": 0, "lowest": 5.0}, {"layer": 1, **course}],
            "auxiliary": {"aux_over_lm": 0.02, "router_grad_share": {"0": 0.1, "1": 0.3}},
            "throughput": {"tokens_per_s": 9.0},
            **changes,
        }
    )


def test_runs_are_compared_by_their_worst_layer():
    assert outcome() == {
        "verdict": "collapsed",
        "worst layer": 1,
        "  n_eff at step 0": 7.0,
        "  n_eff lowest": 1.5,
        "    at step": 90,
        "  n_eff at the end": 1.6,
        "  collapse since step": 60,
        "lm_loss": 3.0,
        "gap": 0.4,
        "rho": 0.7,
        "nmi": 0.1,
        "cv, mean over layers": 1.0,
        "cv, worst layer": 2.0,
        "cv_floor": 0.1,
        "max_violation, worst layer": 5.0,
        "dead_experts, worst layer": 0.5,
        "dropped in training, worst layer": 0.25,
        "aux_loss / lm_loss": 0.02,
        "router gradient from balance, largest": 0.3,
        "tokens_per_s": 9.0,
    }


def test_a_run_without_a_step_has_blanks():
    found = outcome(
        verdict=None,
        worst_layer=None,
        loss={},
        rho=None,
        balance=[],
        evidence=[],
        auxiliary={"aux_over_lm": None, "router_grad_share": {}},
        throughput={},
    )
    assert set(found.values()) == {None}


def test_a_collapse_that_is_over_is_not_one_since_then():
    course = {"layer": 1, "onsets": (20,), "recoveries": (80,)}
    assert outcome(verdict="balanced", evidence=[course])["  collapse since step"] is None
