import pytest

from moe_lab.config import load
from moe_lab.errors import ConfigError

# one layer of 1024 experts, each 2 * 4096 * d_expert weights, and 4 * 4096**2 for attention, 16 bytes each:
# 134217728 * d_expert + 1073741824 <= 2**40 = 1099511627776 up to d_expert = 8184
WIDE = ["n_layers=1", "n_experts=1024", "d_model=4096"]
SHARED = [*WIDE, "n_shared_experts=1"]


def refusal(*settings: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(None, settings)
    return caught.value.render()


def test_a_model_beyond_a_tebibyte_is_refused_and_one_below_is_not():
    load(None, [*WIDE, "d_expert=8184"])
    assert refusal(*WIDE, "d_expert=8192").startswith(
        "error: this model needs 1.1 TB for its weights, gradients and moments; the limit is 1.1\n"
        "  --> command line: d_expert=8192\n"
    )


def test_shared_experts_count_and_dense_blocks_have_none():
    assert "this model needs 1.1 TB" in refusal(*SHARED, "d_expert=8184")
    load(None, [*SHARED, "d_expert=8192", "moe_layers=none"])


def test_a_forward_pass_has_at_most_two_to_the_26_tokens():
    load(None, ["batch_size=65536", "seq_len=1024"])
    assert "use batch_size <= 65536, and accumulate" in refusal("batch_size=65537", "seq_len=1024")
