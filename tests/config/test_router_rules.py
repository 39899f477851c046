from pathlib import Path

import pytest

from moe_lab.config import load


@pytest.mark.parametrize(
    ("moe", "message"),
    [
        (
            "router: {name: top_k, renormalize: true}",
            "with top_k 1 a renormalised gate is always 1",
        ),
        (
            "router: {name: top_k, score: sigmoid, renormalize: true}",
            "with top_k 1 a renormalised gate is always 1",
        ),
        (
            "router: {name: reference, assignment: token_hash, renormalize: true}",
            "with top_k 1 a renormalised gate is always 1",
        ),
        ("router: noisy_top_k", "with top_k 1 the gate of the router 'noisy_top_k' is always 1"),
        (
            "router: {name: top_k, renormalize_over: kept}",
            "'moe.router.renormalize_over' has nothing to act on",
        ),
        ("init_std: 0", "a router that starts at zero, without noise, ties on every token"),
        ("router: {name: top_k, jitter: 1.1}", "'moe.router.jitter': 1.1 is outside [0, 1]"),
        ("router: {name: top_k, jitter: -0.1}", "'moe.router.jitter': -0.1 is outside [0, 1]"),
        (
            "noise: 0.5, router: {name: reference, assignment: single}",
            "'moe.noise' (0.5) does not act on the router 'reference'",
        ),
        (
            "top_k: 2, noise: 0.5, router: noisy_top_k",
            "'moe.noise' (0.5) does not act on the router 'noisy_top_k'",
        ),
        (
            "router: {name: top_k, n_groups: 3}",
            "'moe.router.n_groups' (3) does not divide 'moe.n_experts' (8)",
        ),
        ("router: {name: top_k, n_groups: 0}", "'moe.router.n_groups': 0 is outside [1, 1024]"),
        (
            "router: {name: top_k, n_groups: 4, top_groups: 5}",
            "'moe.router.top_groups' (5) must not exceed 'moe.router.n_groups' (4)",
        ),
        (
            "router: {name: top_k, n_groups: 4, top_groups: 0}",
            "'moe.router.top_groups': 0 is outside [1, 1024]",
        ),
        (
            "top_k: 5, router: {name: top_k, n_groups: 4, top_groups: 2}",
            "'moe.top_k' (5) exceeds the 4 experts of 2 of 4 groups",
        ),
        ("top_k: 9", "'moe.top_k' (9) must not exceed 'moe.n_experts' (8)"),
        (
            "top_k: 9, router: {name: top_k, n_groups: 2}",
            "'moe.top_k' (9) must not exceed 'moe.n_experts' (8)",
        ),
    ],
)
def test_contradictions_are_refused_once_at_the_key(refusal, moe, message):
    rendered = refusal(f"moe: {{{moe}}}")
    assert rendered.count("error:") == 1
    assert message in rendered
    assert "--> bad.yaml:1:" in rendered


@pytest.mark.parametrize(
    "moe",
    [
        "init_std: 0, noise: 0.1",
        "init_std: 0, init_tilt: 1.0",
        "init_std: 0, top_k: 2, router: noisy_top_k",
        "init_std: 0, router: {name: reference, assignment: single}",
        "top_k: 4, router: {name: top_k, n_groups: 4, top_groups: 2}",
        "router: {name: top_k, jitter: 0.01, noise_law: gumbel, precision: bfloat16}",
        "top_k: 2, router: {name: top_k, score: sigmoid, renormalize: true}",
        "router: {name: reference, assignment: domain, gate: one}",
        "router: {name: reference, assignment: map_domain}",
    ],
)
def test_what_only_looks_like_a_contradiction_is_allowed(tmp_path: Path, moe):
    (tmp_path / "a.yaml").write_text(f"moe: {{{moe}}}")
    assert load(tmp_path / "a.yaml").warnings == ()


ONE_TEXT = "data: {source: text, path: a.txt}\n"
TWO_TEXTS = "data: {source: text, path: {a: a.txt, b: a.txt}}\n"


@pytest.fixture
def text(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text("to be or not to be " * 200)
    return tmp_path


@pytest.mark.parametrize(
    ("data", "assignment", "message"),
    [
        (ONE_TEXT, "domain", "needs data whose tokens have a domain: a single text has none"),
        (ONE_TEXT, "map_domain", "the domains of 'text' cannot be inferred exactly"),
        (TWO_TEXTS, "map_domain", "the domains of 'text' cannot be inferred exactly"),
    ],
)
def test_a_reference_that_the_data_cannot_serve_is_refused(
    text, refusal, data, assignment, message
):
    rendered = refusal(f"{data}moe: {{router: {{name: reference, assignment: {assignment}}}}}")
    assert rendered.count("error:") == 1
    assert message in rendered
    assert "--> bad.yaml:2:" in rendered


@pytest.mark.parametrize(
    ("data", "assignment"),
    [(ONE_TEXT, "token_hash"), (ONE_TEXT, "random"), (ONE_TEXT, "single"), (TWO_TEXTS, "domain")],
)
def test_a_reference_that_the_data_can_serve_is_allowed(text, data, assignment):
    (text / "b.yaml").write_text(
        f"{data}moe: {{router: {{name: reference, assignment: {assignment}}}}}"
    )
    load(text / "b.yaml")


@pytest.mark.parametrize(
    ("moe", "message"),
    [
        (
            "top_k: 2, router: {name: top_k, renormalize: true, renormalize_over: kept}",
            "'moe.router.renormalize_over' kept has no effect",
        ),
        ("drop_order: random", "'moe.drop_order' (random) has no effect"),
    ],
)
def test_what_needs_a_capacity_is_warned_about_without_one(tmp_path: Path, moe, message):
    path = tmp_path / "a.yaml"
    path.write_text(f"moe: {{{moe}}}")
    (warning,) = load(path).warnings
    assert message in warning.message
    assert load(path, ["capacity_factor=1.0"]).warnings == ()
    assert load(path, ["eval_capacity_factor=1.0"]).warnings == ()
