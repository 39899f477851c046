"""One word per idea: the field has several for each, and this package uses none of the others."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted([*(ROOT / "moe_lab").rglob("*.py"), *(ROOT / "configs").rglob("*.yaml")])
FOREIGN = {
    "n_experts": "num_experts n_exp moe_num_experts num_gates num_local_experts",
    "top_k": "num_selected_experts num_activated_experts gating_top_n moe_top_k num_experts_per_tok",
    "capacity_factor": "train_capacity moe_capacity_factor capacity_ratio",
    "capacity": "expert_capacity",
    "router_logits": "gate_logits gates_logits gating_logits",
    "router_probs": "gates_softmax raw_gates expert_scores router_scores",
    "expert": "expert_mask routing_map dispatch_mask expert_index expert_indices",
    "gate": "combine_weights combine_array combine_tensor topk_scores expert_p",
    "load": "density_1 tokens_per_expert batch_size_per_expert mean_top1_per_expert",
    "importance": "density_1_proxy prob_per_expert mean_gates_per_expert",
    "selection_bias": "expert_bias score_bias e_score_correction_bias",
    "lm_loss": "main_loss ce_loss task_loss",
    "aux_loss": "auxiliary_loss total_aux_loss lb_loss load_balancing_loss gshard_loss",
    "dropped": "drop_rate drop_fraction overflow_rate",
    "d_model": "hidden_dim hidden_size n_embd embed_dim",
    "d_expert": "intermediate_size d_ff ffn_dim",
    "n_layers": "num_layers n_layer",
    "n_heads": "num_heads n_head",
    "seq_len": "block_size context_length sequence_length",
    "step": "iter_num global_step num_steps",
}


@cache
def words(path: Path) -> set[str]:
    """Every word of a file, but for the table of what other programs call things."""
    lines = path.read_text(encoding="utf-8").splitlines()
    tree = ast.parse("\n".join(lines)) if path.suffix == ".py" else ast.Module([], [])
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SYNONYMS":
            lines[node.lineno - 1 : node.end_lineno] = [""] * (node.end_lineno - node.lineno + 1)
    return set(re.findall(r"\w+", "\n".join(lines)))


@pytest.mark.parametrize("ours", FOREIGN)
def test_an_idea_has_one_name(ours):
    foreign = set(FOREIGN[ours].split())
    found = {str(path.relative_to(ROOT)): words(path) & foreign for path in FILES}
    assert {path: names for path, names in found.items() if names} == {}


def test_the_table_of_synonyms_is_where_the_foreign_names_are():
    table = (ROOT / "moe_lab" / "config" / "keys.py").read_text(encoding="utf-8")
    assert '"num_experts": "n_experts"' in table
    assert "num_experts" not in words(ROOT / "moe_lab" / "config" / "keys.py")


def test_no_module_is_named_for_having_no_subject():
    shapeless = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
    assert not shapeless & {part for path in FILES for part in (path.stem, path.parent.name)}
