from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from moe_lab.config import Config, Method, json_schema, load
from moe_lab.config.keys import grids, leaves
from moe_lab.config.source import parse
from moe_lab.errors import Place
from moe_lab.registry import BALANCERS, ROUTERS

FOLDER = Path(__file__).parents[2] / "configs"
CONFIGS = sorted(set(FOLDER.glob("*.yaml")) - {FOLDER / "sweep.yaml"})  # which is no config


@pytest.fixture
def text(tmp_path: Path) -> Path:
    (tmp_path / "text.txt").write_bytes(b"x" * 1000)
    return tmp_path / "text.txt"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_of_the_repository_loads_without_warning(path, text):
    resolved = load(path, [f"path={text}"] if path.stem == "text" else [])
    assert resolved.config.name == path.stem
    assert [w.message for w in resolved.warnings if "CPU cores" not in w.message] == []


def test_the_base_config_spells_out_the_defaults():
    resolved = load(FOLDER / "base.yaml")
    assert resolved.config.model_copy(update={"name": "run"}) == Config()
    assert "default" not in resolved.origins.values()


def test_collapse_and_healthy_differ_in_alpha_alone():
    collapse, healthy = (load(FOLDER / f"{n}.yaml").config for n in ("collapse", "healthy"))
    assert (collapse.moe.alpha, healthy.moe.alpha) == (0.0, 0.01)
    same = collapse.moe.model_copy(update={"alpha": 0.01})
    assert collapse.model_copy(update={"moe": same, "name": "healthy"}) == healthy


def test_every_method_can_be_chosen_by_its_name():
    for name in ROUTERS.names():
        router = "{name: reference, assignment: single}" if name == "reference" else name
        assert load(None, [f"router={router}", "top_k=2"]).config.moe.router.name == name
    for name in BALANCERS.names():
        config = load(None, [f"balance={name}"]).config
        assert isinstance(config.moe.balance, Method)
        assert config.moe.balance.name == name


def test_settings_are_frozen():
    config = Config()
    with pytest.raises(ValueError, match="frozen"):
        config.moe.alpha = 1.0


def test_the_keys_of_the_product_can_all_be_set():
    # root 2, data 14 and 4 of text alone, model 7, moe 13, train 11, eval 3, log and checkpoint 2 each
    options = ("moe.router.", "moe.balance.")
    assert len([path for path in leaves() if not path.startswith(options)]) == 58
    assert {"name", "data.path", "moe.router", "moe.router.renormalize"} <= set(leaves())
    assert not {"moe", "moe.router.name", "interventions"} & set(leaves())


def test_the_levers_of_the_collapse_have_a_default_grid():
    assert {key.rpartition(".")[2]: values for key, values in grids().items()} == {
        "alpha": [0, 0.001, 0.01, 0.1, 1],
        "noise": [0, 0.1, 0.3, 1],
        "capacity_factor": [None, 1, 1.25, 2],
        "top_k": [1, 2, 4],
        "n_experts": [4, 8, 16, 32],
    }
    moe = json_schema()["$defs"]["Moe"]["properties"]
    assert {f"moe.{key}" for key, field in moe.items() if "grid" in field} == set(grids())


def plain(path: Path) -> Any:
    node = parse(path.read_text(), lambda start, end: Place(str(path)), [])
    assert node
    return yaml.safe_load(yaml.safe_dump(_lists(node.plain())))


def _lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _lists(item) for key, item in value.items()}
    return [_lists(item) for item in value] if isinstance(value, tuple) else value


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_json_schema_accepts_the_configs_of_the_repository(path):
    jsonschema.Draft202012Validator(json_schema()).validate(plain(path))


@pytest.mark.parametrize(
    "wrong",
    [
        {"sed": 0},
        {"moe": {"topk": 1}},
        {"moe": {"router": "topk"}},
        {"moe": {"router": {"name": "top_k", "renorm": True}}},
        {"moe": {"extra": [{"name": "router_z"}]}},
        {"data": {"source": "domains", "path": "x"}},
        {"train": {"lr": 0}},
    ],
)
def test_the_json_schema_rejects_what_the_loader_rejects(wrong):
    assert not jsonschema.Draft202012Validator(json_schema()).is_valid(wrong)


@pytest.mark.parametrize(
    "right",
    [
        {"data": {"seq_len": 32}},
        {"data": {"source": "text"}},
        {"moe": {"balance": {"name": "importance"}, "extra": [{"name": "router_z", "weight": 0}]}},
        {"extends": "base.yaml"},
    ],
)
def test_the_json_schema_accepts_parts_and_methods(right):
    jsonschema.Draft202012Validator(json_schema()).validate(right)


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    items = schema.values() if isinstance(schema, dict) else schema
    if isinstance(schema, dict) and "properties" in schema:
        yield schema
    for item in items if isinstance(schema, dict | list) else ():
        yield from objects(item)


def test_every_key_of_the_json_schema_is_described_and_closed():
    found = list(objects(json_schema()))
    assert len(found) > 10
    for schema in found:
        assert schema["additionalProperties"] is False
        fields = schema["properties"].items()
        assert [key for key, field in fields if not {"description", "$ref"} & set(field)] == []


def test_every_number_has_a_range():
    numbers = [
        (name, field)
        for schema in objects(json_schema())
        for name, field in schema["properties"].items()
        if {"integer", "number"}
        & {field.get("type"), *(x.get("type") for x in field.get("anyOf", []))}
    ]
    assert len(numbers) > 25
    for name, field in numbers:
        bounds = {key for part in (field, *field.get("anyOf", [])) for key in part}
        assert {"minimum", "exclusiveMinimum"} & bounds, name
        assert "maximum" in bounds, name
