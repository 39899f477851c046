import math

import pytest
import torch
from torch import Tensor

from moe_lab.feed_forward import FeedForward
from moe_lab.model import Attention, LanguageModel, Norm, initialize, loss_weights
from moe_lab.moe import MoELayer
from moe_lab.streams import Stream

STREAM = Stream(0, (1, 0))
# Experts in the last of three blocks alone, or in all of two.
LAYOUTS = [{"n_layers": 3, "moe_layers": [2]}, {"n_layers": 2, "top_k": 2}]


def tokens(batch: int = 2, length: int = 16) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(32, (batch, length), generator=generator)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("changed", [1, 7, 15])
def test_a_token_is_not_seen_by_the_past(build_model, layout, changed):
    model, original = build_model(**layout), tokens()
    other = original.clone()
    other[:, changed] = (other[:, changed] + 1) % 32
    before, after = (model(x, STREAM)[0] for x in (original, other))
    torch.testing.assert_close(before[:, :changed], after[:, :changed], rtol=1e-4, atol=1e-5)
    moved = (before - after).abs().amax(-1)
    assert (moved[:, changed:] > 1e-3).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_shorter_sequence_reads_as_the_beginning_of_a_longer_one(build_model, layout):
    model, x = build_model(**layout), tokens()
    whole, start = model(x, STREAM)[0], model(x[:, :5], STREAM)[0]
    torch.testing.assert_close(start, whole[:, :5], rtol=1e-4, atol=1e-5)


def test_the_order_of_the_past_matters(build_model):
    # Without positions one layer of attention would see a bag of tokens.
    model, x = build_model(n_layers=1), tokens(1)
    swapped = x[:, [1, 0, *range(2, 16)]]
    last, other = (model(each, STREAM)[0][0, -1] for each in (x, swapped))
    assert (last - other).abs().max() > 1e-3


def test_rotated_products_depend_on_distance_and_not_on_place():
    attention = Attention(d_model=16, n_heads=2, seq_len=32)
    q, k = torch.randn(2, 1, 1, 1, 8, generator=torch.Generator().manual_seed(0))
    everywhere = (1, 1, 32, 8)
    rotated = [attention._rotate(x.expand(everywhere))[0, 0] for x in (q, k)]
    products = rotated[0] @ rotated[1].T
    torch.testing.assert_close(products[1:, 1:], products[:-1, :-1], rtol=0, atol=1e-4)
    assert (products[0, 1:] - products[0, 0]).abs().max() > 0.1
    torch.testing.assert_close(products.diagonal(), (q * k).sum().expand(32), rtol=0, atol=1e-4)


def test_there_is_one_record_per_moe_layer_by_the_index_of_its_block(build_model):
    x = tokens()
    for layers, blocks in ((3, "[1]"), (3, "[0, 2]"), (2, "all")):
        model = build_model(n_layers=layers, moe_layers=blocks, top_k=2)
        _, routings = model(x, STREAM)
        expected = {"[1]": [1], "[0, 2]": [0, 2], "all": [0, 1]}[blocks]
        assert list(routings) == list(model.moe_layers()) == expected
        assert list(model.balance_losses(routings)) == expected
        assert all(len(r.token) == 2 * 2 * 16 for r in routings.values())


def test_a_block_without_experts_has_their_active_width(build_model):
    model = build_model(moe_layers="[1]", top_k=2, d_expert=24)
    dense, moe = (block.feed_forward for block in model.blocks)
    assert isinstance(dense, FeedForward)
    assert isinstance(moe, MoELayer)
    assert dense.w_in.shape == (2 * 24, 16)
    assert moe.experts.w_in.shape == (4, 16, 24)


def test_layers_draw_noise_and_ties_of_their_own(build_model):
    model = build_model(noise=1.0, init_std=0)
    _, routings = model(tokens(), STREAM)
    assert not torch.equal(routings[0].expert, routings[1].expert)
    again, elsewhere = (model(tokens(), stream)[1] for stream in (STREAM, STREAM.at(1)))
    assert torch.equal(again[0].expert, routings[0].expert)
    assert not torch.equal(elsewhere[0].expert, routings[0].expert)


def test_a_norm_divides_by_the_root_mean_square_and_keeps_the_mean():
    # rms of (3, 4, 0, 0) is sqrt(25 / 4) = 2.5
    normed = Norm(4)(torch.tensor([3.0, 4.0, 0.0, 0.0]))
    torch.testing.assert_close(normed, torch.tensor([1.2, 1.6, 0.0, 0.0]))


def weights(model: LanguageModel) -> dict[str, Tensor]:
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("shape", [(8,), (3, 8), (2, 5, 24)])
def test_a_norm_and_its_gradients_are_those_of_the_library(shape):
    generator = torch.Generator().manual_seed(1)
    norm = Norm(shape[-1]).double()
    with torch.no_grad():
        norm.gain.copy_(torch.randn(shape[-1], generator=generator, dtype=torch.float64))
    x = torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
    weigh = torch.randn(shape, generator=generator, dtype=torch.float64)
    expected = torch.nn.functional.rms_norm(x, shape[-1:], norm.gain)
    torch.testing.assert_close(norm(x), expected)
    slow = torch.autograd.grad((expected * weigh).sum(), (x, norm.gain))
    fast = torch.autograd.grad((norm(x) * weigh).sum(), (x, norm.gain))
    for one, other in zip(fast, slow, strict=True):
        torch.testing.assert_close(one, other)


def test_initial_weights_depend_on_the_seed(build_model):
    one, same, other = (weights(build_model(seed=seed)) for seed in (0, 0, 2**32))
    for name in one:
        assert torch.equal(one[name], same[name])
        assert torch.equal(one[name], other[name]) == name.endswith("gain")


def test_no_two_parameters_share_their_draws(build_model):
    drawn = [
        w.flatten()[:64] / w.std() for n, w in weights(build_model()).items() if "gain" not in n
    ]
    correlations = torch.corrcoef(torch.stack(drawn)).fill_diagonal_(0)
    assert correlations.abs().max() < 5 / math.sqrt(64)
    assert len(drawn) == 2 * 5 + 2


@pytest.mark.parametrize(
    "setting",
    [
        {"noise": 1.0},
        {"top_k": 2},
        {"alpha": 0.5},
        {"capacity_factor": 1.0},
        {"init_tilt": 2.0},
        {"steps": 7},
        {"extra": "[{name: router_z, weight: 1}]"},
        {"moe_layers": "[1]"},
    ],
    ids=str,
)
def test_other_settings_leave_the_weights_of_the_same_name_equal(build_model, setting):
    plain, other = weights(build_model()), weights(build_model(**setting))
    shared = [name for name in plain if name in other and plain[name].shape == other[name].shape]
    assert len(shared) >= 12
    assert all(torch.equal(plain[name], other[name]) for name in shared)


def test_another_layer_leaves_the_first_ones_equal(build_model):
    two, three = weights(build_model()), weights(build_model(n_layers=3))
    assert set(two) < set(three)
    assert all(torch.equal(weight, three[name]) for name, weight in two.items())


def test_initial_scales(build_model):
    model = build_model(embedding_std=0.5, init_std=0.1, vocab_size=256, d_model=64, n_experts=8)
    found = {name: w.std().item() for name, w in weights(model).items() if w.std() > 0}
    expected = {
        "embedding": 0.5,
        "head": 1 / 8,  # 1 / sqrt(64 inputs)
        "blocks.0.attention.qkv": 1 / 8,
        "blocks.0.attention.out": 1 / 8,
        "blocks.0.feed_forward.router.weight": 0.1,
    }
    for name, std in expected.items():
        # Standard error of a standard deviation: std / sqrt(2 n)
        error = std / math.sqrt(2 * model.get_parameter(name).numel())
        assert abs(found[name] - std) < 5 * error, name
    # Experts start smaller than 1 / sqrt(64 or 16 inputs), so that attention leads at first.
    assert 0 < found["blocks.0.feed_forward.experts.w_in"] < 1.05 / 8
    assert 0 < found["blocks.0.feed_forward.experts.w_out"] < 1 / 8


def test_a_tilt_is_a_bias_of_expert_zero_and_nothing_else(build_model):
    tilted, plain = build_model(init_tilt=1.5), build_model()
    for layer in tilted.moe_layers().values():
        assert layer.router.bias.tolist() == [1.5, 0, 0, 0]
        assert layer.router.bias.requires_grad
    assert all(layer.router.bias is None for layer in plain.moe_layers().values())


def test_every_parameter_is_filled_and_gets_a_gradient(configure):
    config = configure(n_layers=3, moe_layers="[1]", init_tilt=1.0, top_k=4)
    model = LanguageModel(config, 32)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.endswith("gain"):
                parameter.fill_(math.nan)
    initialize(model, config)
    logits, routings = model(tokens(), STREAM)
    assert logits.shape == (2, 16, 32)
    assert list(routings) == [1]
    logits.square().mean().backward()
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    assert all((parameter.grad != 0).any() for parameter in model.parameters())


def test_alpha_weighs_the_chosen_balancer_and_extras_weigh_themselves(configure):
    extra = "[{name: router_z, weight: 0.001}]"
    assert loss_weights(configure(alpha=0.2).moe) == {
        "switch": 0.2,
        "importance": 0,
        "router_z": 0,
    }
    chosen = configure(alpha=0.2, balance="importance", extra=extra)
    assert loss_weights(chosen.moe) == {"switch": 0, "importance": 0.2, "router_z": 0.001}


def active(model: LanguageModel, top_k: int) -> int:
    """Multiplications per token in feed-forward networks, the router's apart."""
    total = 0
    for name, parameter in model.named_parameters():
        if ".feed_forward." in name and ".router." not in name:
            routed = ".experts." in name
            total += parameter.numel() // len(parameter) * top_k if routed else parameter.numel()
    return total


@pytest.mark.parametrize("activation", ["gelu", "swiglu"])
@pytest.mark.parametrize("n_shared", [0, 1])
def test_a_dense_baseline_has_the_active_width_of_the_experts(build_model, activation, n_shared):
    settings = {"activation": activation, "top_k": 2, "n_shared_experts": n_shared}
    model, dense = build_model(**settings), build_model(**settings, moe_layers="none")
    assert dense.moe_layers() == {}
    assert active(dense, 2) == active(model, 2)
    assert dense(tokens(), STREAM)[1] == {}


def test_finer_experts_cost_the_same_and_choose_among_more(build_model):
    # m = 4 times as many experts of a quarter of the width, 4 times as many per token
    coarse = build_model(n_experts=4, top_k=1, d_expert=32)
    fine = build_model(n_experts=16, top_k=4, d_expert=8)
    assert active(fine, 4) == active(coarse, 1)
    sizes = [
        sum(p.numel() for n, p in m.named_parameters() if ".experts." in n) for m in (coarse, fine)
    ]
    assert sizes[0] == sizes[1]


def test_shared_experts_add_to_what_routed_ones_say_of_every_token(build_model):
    model = build_model(n_shared_experts=2)
    layer, x = model.moe_layers()[0], torch.randn(2, 5, 16)
    assert layer.shared.w_in.shape == (2 * 16, 16)
    whole, routing = layer(x, STREAM)
    routed = layer.experts(x.flatten(0, 1), routing).view_as(x)
    torch.testing.assert_close(whole, routed + layer.shared(x))


def test_a_record_says_what_the_router_read_and_how_many_sequences_there_were(build_model):
    layer, x = build_model().moe_layers()[0], torch.randn(3, 5, 16, requires_grad=True)
    routing = layer(x, STREAM)[1]
    assert routing.n_sequences == 3
    assert routing.hidden.equal(x.flatten(0, 1))
    assert not routing.hidden.requires_grad
