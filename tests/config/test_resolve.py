import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_lab.config import Config, load, read, resolve
from moe_lab.config.resolve import Resolved
from moe_lab.config.source import located
from moe_lab.errors import ConfigError, Place

calm = settings(deadline=None, max_examples=50)


def test_no_file_gives_all_defaults():
    resolved = load(None)
    assert resolved.config == Config()
    assert set(resolved.origins.values()) == {"default"}
    assert (resolved.raw, resolved.warnings) == (b"", ())
    assert resolved.locate("moe.alpha") is None


def test_every_leaf_has_an_origin(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("x.yaml").write_text("seed: 4\nmoe:\n  balance: importance\n  extra: []\n")
    resolved = load("x.yaml", ["lr=0.1"])
    assert resolved.origins["seed"] == "x.yaml:1"
    assert resolved.origins["moe.balance.name"] == "x.yaml:3"
    assert resolved.origins["moe.extra"] == "x.yaml:4"
    assert resolved.origins["train.lr"] == "command line"
    assert resolved.origins["train.steps"] == "default"


def test_a_later_check_can_point_at_a_key(tmp_path: Path):
    (tmp_path / "x.yaml").write_text("train:\n  device: cuda\n")
    place = load(tmp_path / "x.yaml").locate("train.device")
    assert place
    assert (place.line, place.column, place.width) == (2, 3, len("device"))


def test_dump_shows_values_with_their_origin(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("x.yaml").write_text("moe: {extra: [{name: router_z, weight: 1e-3}]}")
    lines = load("x.yaml", ["lr=0.1"]).dump().splitlines()
    assert "  extra: [{name: router_z, weight: 0.001}]  # x.yaml:1" in lines
    assert "  lr: 0.1  # command line" in lines
    assert "  capacity_factor: null  # default" in lines


JSON_SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "seed": st.integers(0, 2**63 - 1),
        "name": st.sampled_from(["null", "12", "1e-3", "a-b_c.d"]),
        "data.domain_weights": st.none() | st.lists(st.floats(1e-300, 1e6), min_size=8, max_size=8),
        "model.moe_layers": st.sampled_from(["all", "none", [1], [0, 1]]),
        "moe.alpha": st.floats(0, 1e6),
        "moe.capacity_factor": st.none() | st.floats(0.5, 4),
        "moe.router.score": st.sampled_from(["softmax", "sigmoid"]),
        "moe.balance": st.sampled_from(
            [
                {"name": "switch", "scope": "sequence"},
                {"name": "loss_free", "speed": 0.1, "rule": "sign"},
            ]
        ),
        "moe.extra": st.lists(st.just({"name": "router_z", "weight": 1e-3}), max_size=1),
        "train.grad_clip": st.none() | st.floats(0, 1e9, exclude_min=True),
    },
)


def chosen(config: Config, path: str) -> object:
    value = config.model_dump(mode="json")
    for step in path.split("."):
        value = value[step]
    return value


@calm
@given(JSON_SETTINGS)
def test_settings_by_path_are_what_the_config_has_at_these_paths(folder, given_settings):
    stored = json.loads(json.dumps(given_settings))
    config = load(None, settings=stored, data_exists=False).config
    assert {path: chosen(config, path) for path in stored} == given_settings
    (folder / "base.yaml").write_text(load(None, ["seed=5", "alpha=0.5"]).dump())
    whole = {f"moe.{key}": value for key, value in config.model_dump(mode="json")["moe"].items()}
    assert load(folder / "base.yaml", settings=whole).config.moe == config.moe


@calm
@given(
    st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1),
    st.text("a, '[{~", min_size=1),
)
def test_a_path_with_any_characters_is_a_setting(folder, path, label):
    typed = f"/x {path}, {label} {path}"
    first = load(None, ["source=text", f"path={typed}"], data_exists=False).config
    absolute = os.path.abspath(typed)  # noqa: PTH100 - keeps links, as a config does
    named = {"data.source": "text", "data.path": absolute}
    assert load(None, settings=named, data_exists=False).config == first
    stored = {"data.source": "text", "data.path": {"a, b": "/x, y", "c.d": f"/{path}"}}
    mapped = load(None, settings=stored, data_exists=False).config
    again = load(
        None, settings={**stored, "data.path": chosen(mapped, "data.path")}, data_exists=False
    )
    assert again.config == mapped


def test_settings_win_over_the_file_and_the_command_line(tmp_path: Path):
    (tmp_path / "a.yaml").write_text(
        "moe: {alpha: 1, top_k: 2, router: {name: top_k, renormalize: true}}"
    )
    asked = {"moe.alpha": 3.0, "moe.router.score": "sigmoid"}
    resolved = load(tmp_path / "a.yaml", ["alpha=2", "noise=1"], settings=asked)
    assert (resolved.config.moe.alpha, resolved.config.moe.noise) == (3.0, 1.0)
    assert resolved.config.moe.router.options["renormalize"] is True
    assert resolved.config.moe.router.options["score"] == "sigmoid"
    assert resolved.origins["moe.alpha"] == "sweep"


def test_a_file_that_is_read_once_is_checked_with_many_values(tmp_path: Path):
    (tmp_path / "a.yaml").write_text("seed: 3")
    file = read(tmp_path / "a.yaml", [])
    place = Place("there")
    alphas = [resolve(file, {"moe.alpha": located(value, place)}) for value in (0.5, 2)]
    assert [(r.config.seed, r.config.moe.alpha) for r in alphas] == [(3, 0.5), (3, 2.0)]
    with pytest.raises(ConfigError, match=r"'moe.alpha': -1 is outside") as caught:
        resolve(file, {"moe.alpha": located(-1, place)})
    assert caught.value.problems[0].place == place


def reloaded(folder: Path, resolved: Resolved) -> Config:
    (folder / "resolved.yaml").write_text(resolved.dump(), encoding="utf-8")
    return load(folder / "resolved.yaml", data_exists=False).config


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dump")


@calm
@given(
    alpha=st.floats(0, 1e6),
    lr=st.floats(0, 10, exclude_min=True),
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True),
    layers=st.just("all") | st.sets(st.integers(0, 1), min_size=1).map(sorted),
)
def test_dump_reads_back_exactly(folder, alpha, lr, name, layers):
    overrides = [f"alpha={alpha!r}", f"lr={lr!r}", f"name={name}", f"moe_layers={layers}"]
    resolved = load(None, [*overrides, "extra=[{name: router_z, weight: 1e-3}]"])
    assert resolved.config.moe.alpha == alpha
    assert reloaded(folder, resolved) == resolved.config


@calm
@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1))
def test_dump_reads_back_any_data_path(folder, path):
    resolved = load(None, ["source=text", f"path=/x {path}"], data_exists=False)
    assert reloaded(folder, resolved) == resolved.config


@calm
@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_give_a_config_or_a_config_error(folder, raw):
    check(folder, raw, [])


KEYS = st.sampled_from(["name", "data", "moe", "source", "path", "router", "extra", "lr", "a"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | KEYS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@calm
@given(st.dictionaries(KEYS, VALUES), st.lists(st.text(), max_size=2))
def test_any_tree_gives_a_config_or_a_config_error(folder, tree, overrides):
    check(folder, yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "ignore"), overrides)


@calm
@given(KEYS, VALUES)
def test_any_override_gives_a_config_or_a_config_error(folder, key, value):
    check(folder, b"seed: 0", [f"{key}={value}"])


def check(folder: Path, raw: bytes, overrides: list[str]) -> None:
    (folder / "any.yaml").write_bytes(raw)
    try:
        load(folder / "any.yaml", overrides)
    except ConfigError as error:
        error.render()


def test_nothing_heavy_is_imported():
    code = (
        "import sys, moe_lab.config as c; c.load('configs/base.yaml'); c.json_schema()\n"
        "print([m for m in ('torch', 'pandas', 'numpy') if m in sys.modules])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True
    )
    assert done.stdout == "[]\n"
