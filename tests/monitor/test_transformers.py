"""Tiny random models of transformers: counts against those of the routers' indices, taken by hooks of our own.

In one module, because importing transformers takes seconds.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
import torch
from conftest import Cli
from torch import Tensor, nn
from transformers import (
    DeepseekV3Config,
    DeepseekV3ForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    OlmoeConfig,
    OlmoeForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

from moe_lab import RouterMonitor, load_run

README = Path(__file__).parents[2] / "README.md"
VOCAB = 64
SIZES = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "eos_token_id": 2,
}


def mixtral() -> nn.Module:
    return MixtralForCausalLM(MixtralConfig(**SIZES, num_local_experts=4, num_experts_per_tok=2))


def olmoe() -> nn.Module:
    return OlmoeForCausalLM(OlmoeConfig(**SIZES, num_experts=6, num_experts_per_tok=3))


def qwen3_moe() -> nn.Module:
    experts = {"num_experts": 4, "num_experts_per_tok": 1, "moe_intermediate_size": 16}
    return Qwen3MoeForCausalLM(Qwen3MoeConfig(**SIZES, **experts, head_dim=16, mlp_only_layers=[0]))


def deepseek_v3() -> nn.Module:
    """One of four groups of two experts: the two largest logits are seldom the two experts of the best group."""
    experts = {"n_routed_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
    groups = {"n_group": 4, "topk_group": 1, "first_k_dense_replace": 1}
    ranks = {"q_lora_rank": 8, "kv_lora_rank": 8}
    heads = {"qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8}
    return DeepseekV3ForCausalLM(DeepseekV3Config(**SIZES, **experts, **groups, **ranks, **heads))


# Each with its layers that have experts, E and k.
FAMILIES: dict[Callable[[], nn.Module], tuple[list[int], int, int]] = {
    mixtral: ([0, 1, 2], 4, 2),
    olmoe: ([0, 1, 2], 6, 3),
    qwen3_moe: ([1, 2], 4, 1),
    deepseek_v3: ([1, 2], 8, 2),
}


def built(family: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return family().train()


def batches(n: int, *shape: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(3, VOCAB, shape, generator=generator) for _ in range(n)]


def record(
    directory: Path, model: nn.Module, steps: Sequence[Sequence[Tensor]], *, learn: bool = False
) -> Path:
    """One optimizer step per group of micro-batches; what is below 3 is padding."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5 if learn else 0.0)
    with RouterMonitor(model, directory) as monitor:
        for micro_batches in steps:
            loss = torch.zeros(())
            for tokens in micro_batches:
                mask = (tokens >= 3).long()
                found = model(input_ids=tokens, attention_mask=mask, labels=tokens).loss
                (found / len(micro_batches)).backward()
                loss += found.detach() / len(micro_batches)
            optimizer.step()
            optimizer.zero_grad()
            monitor.step(loss)
    return directory


@contextmanager
def indices_of(model: nn.Module, layers: Sequence[int]) -> Iterator[dict[int, list[Tensor]]]:
    """(logits, indices) that each layer's router returns; not for a model that recomputes."""
    found: dict[int, list[Tensor]] = {layer: [] for layer in layers}

    def keep(layer: int) -> Callable[..., None]:
        return lambda module, inputs, output: found[layer].append((output[0], output[2]))

    hooks = [model.model.layers[i].mlp.gate.register_forward_hook(keep(i)) for i in layers]
    yield found
    for hook in hooks:
        hook.remove()


def counts(directory: Path) -> dict[int, list[int]]:
    """Assignments per expert of step 1, by layer."""
    run = load_run(directory)
    merged = pd.merge(run.loads, run.cv[["step", "layer", "assignments"]], on=["step", "layer"])
    first = merged[merged["step"] == 1]
    number = (first["load"] * first["assignments"]).round().astype(int)
    return {int(i): rows.tolist() for i, rows in number.groupby(first["layer"])}


@pytest.mark.parametrize("family", FAMILIES)
def test_counts_are_those_of_the_indices(family, tmp_path):
    layers, n_experts, top_k = FAMILIES[family]
    model = built(family)
    with indices_of(model, layers) as found:
        directory = record(tmp_path / "run", model, [batches(2, 2, 7)])
    by_hand = {
        layer: torch.cat([chosen.flatten() for _, chosen in passes]).bincount(minlength=n_experts)
        for layer, passes in found.items()
    }
    assert counts(directory) == {layer: n.tolist() for layer, n in by_hand.items()}
    assert load_run(directory).config["moe"] == {"n_experts": n_experts, "top_k": top_k}
    assert {sum(n) for n in counts(directory).values()} == {2 * 2 * 7 * top_k}


def test_counts_of_grouped_routing_are_not_those_of_the_largest_logits(tmp_path):
    model = built(deepseek_v3)
    with indices_of(model, [1, 2]) as found:
        directory = record(tmp_path / "run", model, [batches(1, 4, 16)])
    largest = {i: logits.topk(2).indices.flatten() for i, [(logits, _)] in found.items()}
    wrong = {i: chosen.bincount(minlength=8).tolist() for i, chosen in largest.items()}
    assert counts(directory) != wrong


@pytest.mark.parametrize(
    ("family", "score"), [(mixtral, "softmax"), (qwen3_moe, "softmax"), (deepseek_v3, "sigmoid")]
)
def test_confidence_is_that_of_the_family_s_own_score(family, score, tmp_path):
    """Qwen3-MoE here has k = 1 and renormalised weights, which tell nothing: softmax."""
    layers, _, _ = FAMILIES[family]
    model = built(family)
    with indices_of(model, layers) as found:
        directory = record(tmp_path / "run", model, [batches(1, 2, 7)])
    [(logits, _)] = found[2]
    probs = logits.float().softmax(-1) if score == "softmax" else logits.float().sigmoid()
    largest = (probs / probs.sum(-1, keepdim=True)).amax(-1).mean().item()
    (row,) = load_run(directory).cv.query("layer == 2").itertuples()
    assert row.confidence == pytest.approx(largest, rel=1e-5)


@pytest.mark.parametrize("family", [mixtral, deepseek_v3])
@pytest.mark.parametrize("reentrant", [True, False])
def test_recomputation_changes_no_byte(family, reentrant, tmp_path):
    steps = [batches(2, 2, 7), batches(2, 2, 7)]
    plain = record(tmp_path / "plain", built(family), steps, learn=True)
    model = built(family)
    model.activation_checkpointing_enable({"use_reentrant": reentrant})
    calls: list[None] = []
    last = model.model.layers[2].mlp.gate.register_forward_hook(lambda *_: calls.append(None))
    checkpointed = record(tmp_path / "checkpointed", model, steps, learn=True)
    last.remove()
    assert len(calls) == 2 * sum(map(len, steps)), "each pass was computed twice"
    for table in ("steps", "utilization", "cv", "aux_loss"):
        assert (plain / f"{table}.csv").read_bytes() == (checkpointed / f"{table}.csv").read_bytes()


@pytest.mark.parametrize("family", FAMILIES)
def test_one_large_batch_counts_as_four_small_ones(family, tmp_path):
    (large,) = batches(1, 8, 7)
    one = record(tmp_path / "one", built(family), [[large]])
    four = record(tmp_path / "four", built(family), [list(large.split(2))])
    assert (one / "utilization.csv").read_bytes() == (four / "utilization.csv").read_bytes()


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_counts_for_nothing(family, tmp_path):
    (tokens,) = batches(1, 3, 7)
    padded = torch.nn.functional.pad(tokens, (0, 4))
    short = record(tmp_path / "short", built(family), [[tokens]])
    long = record(tmp_path / "long", built(family), [[padded]])
    assert (short / "utilization.csv").read_bytes() == (long / "utilization.csv").read_bytes()
    pd.testing.assert_frame_equal(load_run(short).cv, load_run(long).cv, rtol=1e-5)


def test_the_readme_s_loop_runs_and_can_be_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    section = README.read_text(encoding="utf-8").split("## On a model that is not ours")[1]
    code = re.findall(r"```python\n(.*?)```", section, re.DOTALL)[0]
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    exec(compile(code, "README.md", "exec"), {})
    assert set(load_run("runs/mixtral").verdicts) == {0, 1}
    assert str(load_run("runs/mixtral").verdicts) in capsys.readouterr().out
    assert cli("report", "runs/mixtral").exit_code == 0
