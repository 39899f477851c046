"""Training from Python."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from conftest import SMALL, Cli, results

import moe_lab
from moe_lab import api
from moe_lab.config.keys import named
from moe_lab.errors import ConfigError


def nested() -> dict[str, dict[str, object]]:
    """SMALL as it stands in a config file."""
    sections: dict[str, dict[str, object]] = {}
    for key, value in SMALL.items():
        (path,) = named(key)
        sections.setdefault(path.partition(".")[0], {})[key] = value
    return sections


@pytest.fixture
def train(tmp_path):
    def call(*arguments, **settings):
        return api.train(*arguments, runs_dir=tmp_path / "runs", **settings)

    return call


def test_a_run_from_python_is_the_run_of_the_command_line(train, finished):
    levers = {"eval.every": 5, "checkpoint": {"every": 4}, "log": {"router_grad_every": 5}}
    run = train({**nested(), **levers}, name="small")
    assert results(run.directory) == results(finished)


def test_a_file_a_mapping_and_keywords_mean_the_same(train, tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text("\n".join(f"{s}: {{{_flow(values)}}}" for s, values in nested().items()))
    runs = [
        train(path, name="a", alpha=0.5),
        train({**nested(), "moe.alpha": 0.5}, name="b"),
        train(None, name="c", alpha=0.5, **SMALL),
    ]
    first, *others = ({**run.config, "name": ""} for run in runs)
    assert first["moe"]["alpha"] == 0.5
    assert others == [first, first]


def _flow(values: dict[str, object]) -> str:
    return ", ".join(f"{key}: {value}" for key, value in values.items())


def test_keywords_win_over_a_mapping(train):
    assert (
        train({**nested(), "moe.alpha": 0.5}, alpha=0.25, n_experts=8).config["moe"]["alpha"]
        == 0.25
    )


def test_values_of_every_kind_are_passed_on(train):
    run = train(
        {**nested(), "moe": {"n_experts": 4, "balance": {"name": "switch", "scope": "sequence"}}},
        **{"moe.extra": [{"name": "router_z", "weight": 1e-3}], "capacity_factor": None},
        moe_layers=[1],
        renormalize=False,
    )
    assert run.config["moe"]["balance"] == {"name": "switch", "scope": "sequence"}
    assert run.config["moe"]["extra"][0]["weight"] == 1e-3
    assert run.config["model"]["moe_layers"] == (1,)
    assert run.config["moe"]["capacity_factor"] is None


def test_mistakes_are_the_command_line_s(train, cli: Cli, tmp_path):
    with pytest.raises(ConfigError) as refused:
        train(top_k=9, n_expert=4)
    same = cli("train", "top_k=9", "n_expert=4", "--runs-dir", tmp_path / "runs")
    assert refused.value.render() == same.stderr.strip()
    assert not (tmp_path / "runs").exists()


def test_a_traceback_shows_the_remedy(train):
    with pytest.raises(ConfigError) as refused:
        train(n_expert=4)
    assert "did you mean" in "\n".join(refused.value.__notes__)


def test_a_name_that_is_given_is_refused_if_it_exists_and_one_of_the_settings_is_numbered(train):
    assert train({**nested(), "name": "mine"}).directory.name == "mine"
    assert train({**nested(), "name": "mine"}).directory.name == "mine-2"
    with pytest.raises(ConfigError, match="already exists"):
        train(nested(), name="mine")


def test_nothing_is_printed(train, capfd):
    train(nested())
    assert capfd.readouterr() == ("", "")


def test_what_a_config_warns_of_is_a_warning(train):
    with pytest.warns(
        UserWarning, match=r"'train.warmup' \(2\) is longer than 'train.steps' \(1\)"
    ):
        train(nested(), steps=1)


def test_a_run_that_is_interrupted_is_saved_and_says_so(train, tmp_path):
    """The signal comes when there are rows."""
    rows = tmp_path / "runs" / "long" / "steps.csv"

    def interrupt() -> None:
        while not rows.exists() or rows.read_bytes().count(b"\n") < 3:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt, match="can be resumed"):
        train(nested(), steps=5_000, name="long")


def test_the_function_is_not_hidden_by_a_module_of_its_name():
    assert not list(Path(moe_lab.__file__).parent.glob("train*"))
    assert moe_lab.train is api.train
