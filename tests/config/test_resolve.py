import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_lab.config import Config, load
from moe_lab.config.resolve import Resolved
from moe_lab.errors import ConfigError

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
