from pathlib import Path

import pytest

from moe_lab.config import load

TOP_K = """\
error: 'moe.top_k' (4) must not exceed 'moe.n_experts' (2)
  --> bad.yaml:3:3
   |
 3 |   top_k: 4
   |   ^^^^^
  help: use top_k <= 2, or raise n_experts (line 2)"""


def test_top_k_beyond_n_experts_names_both_lines(refusal):
    assert refusal("moe:\n  n_experts: 2\n  top_k: 4\n") == TOP_K


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("moe: {router: {name: top_k, renormalize: true}}", "with top_k 1 a renormalised gate"),
        ("moe: {init_std: 0}", "a router that starts at zero, without noise, ties on every token"),
        ("model: {d_model: 40, n_heads: 3}", "'model.d_model' (40) is not a multiple of"),
        ("model: {d_model: 24, n_heads: 8}", "a head is d_model / n_heads = 3 wide"),
        ("model: {d_model: 60, n_heads: 2}", "'model.d_model' (60) is not a multiple of 8"),
        ("model: {d_expert: 20}", "'model.d_expert' (20) is not a multiple of 8"),
        ("model: {moe_layers: [0, 2]}", "names block 2, but 'model.n_layers' is 2"),
        ("data: {vocab_size: 4096}", "needs 1.1 GB for the laws of 8 domains"),
        ("eval: {tokens: 63}", "'eval.tokens' (63) is less than one sequence"),
        ("moe: {extra: [{name: switch, weight: 1}]}", "the balancer 'switch' is used twice"),
        (
            "moe: {extra: [{name: router_z, weight: 1}, {name: router_z, weight: 1}]}",
            "the balancer 'router_z' is used twice",
        ),
    ],
)
def test_contradictions_are_refused_at_the_key(refusal, text, message):
    rendered = refusal(text)
    assert rendered.count("error:") == 1
    assert message in rendered
    assert "--> bad.yaml:1:" in rendered


@pytest.mark.parametrize("extra", ["noise: 0.1", "init_tilt: 1.0"])
def test_a_zero_router_is_allowed_when_something_breaks_the_ties(tmp_path: Path, extra):
    (tmp_path / "a.yaml").write_text(f"moe: {{init_std: 0, {extra}}}")
    load(tmp_path / "a.yaml")


def test_a_contradiction_on_the_command_line_points_there(refusal):
    text = refusal(None, ["n_experts=2", "top_k=3"])
    assert "--> command line: top_k=3" in text


def test_rounding_that_moves_the_capacity_factor_is_warned_about():
    # 24 * 64 tokens * k / E = 192 assignments per expert: ceil(0.001 * 192) = 1, 1 / 192 = 0.00521
    (warning,) = load(None, ["capacity_factor=0.001"]).warnings
    assert "with 1 per expert it is in effect 0.00521" in warning.message
    # ceil(1.251 * 192) = 241, 241 / 192 = 1.255
    assert load(None, ["capacity_factor=1.251"]).warnings == ()


def test_more_threads_than_cores_and_a_warmup_beyond_the_end_are_warned_about():
    warnings = load(None, ["threads=256", "warmup=30", "steps=20"]).warnings
    assert [warning.message.split(" is ")[0].split(" exceeds ")[0] for warning in warnings] == [
        "'train.warmup' (30)",
        "'train.threads' (256)",
    ]


def test_a_single_checkpoint_is_warned_about_for_it_may_be_damaged():
    (warning,) = load(None, ["keep=1"]).warnings
    assert warning.message.startswith("'checkpoint.keep' (1) leaves nothing to go back to")
    assert load(None, ["keep=2"]).warnings == ()
