from pathlib import Path

import pytest

from moe_lab.config import load
from moe_lab.errors import ConfigError


def test_a_unique_leaf_or_a_full_path_sets_a_value():
    config = load(None, ["alpha=1e-3", "train.steps=7", "moe_layers=[1]", "name=12"]).config
    assert (config.moe.alpha, config.train.steps, config.name) == (0.001, 7, "12")
    assert config.model.moe_layers == (1,)


def test_methods_and_null_are_yaml_values():
    overrides = ["capacity_factor=null", "balance={name: importance}", "grad_clip=null"]
    config = load(None, overrides).config
    assert config.moe.balance.name == "importance"
    assert config.train.grad_clip is None


def test_an_option_belongs_to_the_method_that_is_chosen(tmp_path: Path):
    (tmp_path / "a.yaml").write_text("moe: {top_k: 2, router: top_k}")
    for overrides in (["renormalize=true"], ["renormalize=true", "router=top_k"]):
        resolved = load(tmp_path / "a.yaml", overrides)
        assert resolved.config.moe.router.options["renormalize"] is True
        assert resolved.origins["moe.router.renormalize"] == "command line"


def test_an_option_of_the_default_method_needs_no_file():
    resolved = load(None, ["top_k=2", "moe.router.renormalize=true"])
    assert resolved.config.moe.router.options["renormalize"] is True
    assert resolved.origins["moe.router.name"] == "default"


def test_the_command_line_wins_over_the_file(tmp_path: Path):
    (tmp_path / "a.yaml").write_text("seed: 1\ntrain: {lr: 1e-2, steps: 5}")
    config = load(tmp_path / "a.yaml", ["lr=1e-4"]).config
    assert (config.seed, config.train.lr, config.train.steps) == (1, 1e-4, 5)


def test_the_data_path_is_relative_to_the_current_directory(tmp_path: Path, monkeypatch):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.yaml").write_text("data: {source: text}")
    (tmp_path / "a b #1.txt").write_bytes(b"x" * 1000)
    monkeypatch.chdir(tmp_path)
    config = load("sub/a.yaml", ["data.path=a b #1.txt"]).config
    assert config.data.model_dump()["path"] == str(tmp_path / "a b #1.txt")


def test_source_and_path_can_be_given_in_any_order(tmp_path: Path):
    (tmp_path / "t.txt").write_bytes(b"x" * 1000)
    config = load(None, [f"path={tmp_path}/t.txt", "source=text"]).config
    assert config.data.source == "text"


@pytest.mark.parametrize(
    ("override", "message", "remedy"),
    [
        ("alfa=1", "unknown config key 'alfa'", "did you mean 'moe.alpha'?"),
        ("moe.topk=1", "unknown config key 'moe.topk'", "did you mean 'top_k'?"),
        ("mo.top_k=1", "unknown config key 'mo.top_k'", "(write it as 'moe.top_k')"),
        ("num_experts=3", "unknown config key 'num_experts'", "did you mean 'moe.n_experts'?"),
        ("xyzzy=1", "unknown config key 'xyzzy'", "keys here: name, seed, data"),
        ("every=3", "'every' is ambiguous", "write eval.every or log.every or checkpoint.every"),
        ("alpha", "'alpha' has no value", "write alpha=value"),
        ("alpha=", "'alpha=' has no value", "write alpha=value, or null for none"),
        ("=1", "unknown config key ''", "keys here"),
        ("train=5", "'train' is a section", "set its keys, such as train.steps=…"),
        ("data={source: text}", "'data' is a section", "such as data.source=…"),
        (
            "alpha=0,0.1",
            "'moe.alpha' is given several values",
            "this is a sweep: moe-lab sweep alpha=0,0.1",
        ),
        (
            "moe_layers=0,1",
            "'model.moe_layers' is given several values",
            "write model.moe_layers=[0,1]",
        ),
        ("lr=1e--3", "'train.lr': expected a number in (0, 10], got the string \"1e--3\"", ""),
        ("lr=0", "'train.lr': 0 is outside (0, 10]", ""),
        ("router={score: x}", "'moe.router.score': expected softmax", ""),
        ("moe_layers=[0", "the list opened here is never closed", ""),
        ("alpha=\udcff", "control character U+DCFF", "plain UTF-8 text"),
        ("n_domains=0", "'data.n_domains': 0 is outside [1, 256]", ""),
    ],
)
def test_a_wrong_override_is_refused_with_its_remedy(override, message, remedy):
    with pytest.raises(ConfigError) as caught:
        load(None, [override])
    (problem,) = caught.value.problems
    assert problem.place
    assert (problem.place.source, problem.place.text) == ("command line", override)
    assert message in problem.message
    assert remedy in (problem.help or "")


def test_a_key_given_twice_is_refused():
    with pytest.raises(ConfigError, match=r"'seed' is given twice"):
        load(None, ["seed=1", "seed=2"])


def test_an_override_that_breaks_a_section_is_shown_and_the_section_keeps_its_place(refusal):
    text = refusal("seed: 0\ndata:\n  source: text\n", ["seq_len=16"])
    assert text.startswith("error: 'data.path' is required\n  --> bad.yaml:2:1\n")
