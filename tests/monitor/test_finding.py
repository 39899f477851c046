import pytest
from torch import nn

from moe_lab.errors import ConfigError
from moe_lab.monitor.finding import find_routers

from .conftest import ToyRouter


class SparseGate(nn.Identity):
    pass


class ForgetGate(nn.Identity):
    pass


class NoisyGating(nn.Identity):
    pass


def stack(*layers: nn.Module) -> nn.Module:
    return nn.ModuleDict({"layers": nn.ModuleList(layers)})


def test_layers_are_numbered_by_name_and_not_by_order():
    model = nn.ModuleDict({"layers": nn.ModuleDict({"7": SparseGate(), "3": SparseGate()})})
    assert find_routers(model, None) == {3: "layers.3", 7: "layers.7"}
    assert list(find_routers(model, None)) == [3, 7]


def test_dense_layers_between_leave_their_number_free():
    assert find_routers(stack(nn.Identity(), SparseGate()), None) == {1: "layers.1"}


def test_a_router_without_a_number_is_layer_0():
    assert find_routers(nn.ModuleDict({"gate": SparseGate()}), None) == {0: "gate"}


@pytest.mark.parametrize("router", [SparseGate(), NoisyGating(), ToyRouter(4, 1)])
def test_each_of_the_class_names_is_found(router):
    assert find_routers(stack(router), None) == {0: "layers.0"}


def test_gates_of_other_kinds_do_not_count_where_there_are_routers():
    layer = nn.ModuleDict({"forget": ForgetGate(), "router": ToyRouter(4, 1)})
    assert find_routers(stack(layer), None) == {0: "layers.0.router"}


def test_a_pattern_wins_over_class_names():
    layer = nn.ModuleDict({"gate": nn.Linear(2, 2), "router": ToyRouter(4, 1)})
    assert find_routers(stack(layer), r"\.gate$") == {0: "layers.0.gate"}


def test_two_routers_in_a_layer_are_refused_by_name():
    model = nn.ModuleDict({"encoder": stack(SparseGate()), "decoder": stack(SparseGate())})
    with pytest.raises(ConfigError, match=r"two routers in layer 0: encoder.*decoder") as refused:
        find_routers(model, None)
    assert "routers=" in str(refused.value.problems[0].help)
    assert find_routers(model, r"^decoder\.") == {0: "decoder.layers.0"}


def test_a_model_without_routers_is_told_what_was_looked_for_and_what_is_near():
    class SparseMoeBlock(nn.Identity):
        pass

    with pytest.raises(
        ConfigError, match="no class name ends in Router, Gate or Gating"
    ) as refused:
        find_routers(stack(SparseMoeBlock(), nn.Linear(2, 2)), None)
    remedy = str(refused.value.problems[0].help)
    assert "SparseMoeBlock" in remedy
    assert "Linear" not in remedy


def test_a_pattern_that_matches_nothing_is_told_near_names():
    model = stack(nn.ModuleDict({"mlp_gate": nn.Linear(2, 2)}))
    with pytest.raises(ConfigError, match=r"no module name matches routers='router'") as refused:
        find_routers(model, "router")
    assert "layers.0.mlp_gate" in str(refused.value.problems[0].help)


def test_a_pattern_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="no regular expression"):
        find_routers(stack(SparseGate()), "(")
