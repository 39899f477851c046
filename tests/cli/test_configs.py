import json
from itertools import pairwise
from pathlib import Path

from conftest import Cli

from moe_lab.config import Config, load
from moe_lab.config.starter import starter


def test_config_show_reads_back(cli: Cli, tmp_path: Path):
    (tmp_path / "a.yaml").write_text("moe:\n  alpha: 0.5\n")
    done = cli("config", "show", tmp_path / "a.yaml", "noise=1")
    assert f"  alpha: 0.5  # {tmp_path}/a.yaml:2\n" in done.stdout
    assert "  noise: 1.0  # command line\n" in done.stdout
    assert "  top_k: 1  # default\n" in done.stdout
    (tmp_path / "b.yaml").write_text(done.stdout)
    assert load(tmp_path / "b.yaml").config == load(tmp_path / "a.yaml", ["noise=1"]).config


def test_config_check_says_valid_or_why_not(cli: Cli, tmp_path: Path):
    (tmp_path / "a.yaml").write_text("seed: 1\n")
    done = cli("config", "check", tmp_path / "a.yaml", "warmup=500")
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path}/a.yaml: valid\n")
    assert done.stderr.startswith("warning: 'train.warmup' (500) is longer")
    done = cli("config", "check", tmp_path / "a.yaml", "warmup=-1", "nope=2")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.count("error: ") == 2


def test_config_schema_is_json_schema(cli: Cli):
    schema = json.loads(cli("config", "schema").stdout)
    assert schema["properties"].keys() >= {"name", "seed", "data", "model", "moe", "train"}


# init


def test_the_starter_config_is_every_key_at_its_default(tmp_path: Path):
    (tmp_path / "a.yaml").write_text(starter())
    resolved = load(tmp_path / "a.yaml")
    assert resolved.config == Config()
    assert resolved.warnings == ()
    assert "default" not in resolved.origins.values()


def test_every_key_of_the_starter_config_is_explained():
    lines = starter().splitlines()
    for above, line in pairwise(lines):
        if line.strip() and not line.lstrip().startswith("#"):
            assert above.lstrip().startswith("#"), line


def test_init_writes_a_config_that_can_be_checked(cli: Cli, tmp_path: Path):
    done = cli("init", tmp_path / "new")
    path = tmp_path / "new" / "experiment.yaml"
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:2] == [
        f"{path}: every key at its default",
        f"  moe-lab config check {path}",
    ]
    assert cli("config", "check", path).stdout == f"{path}: valid\n"


def test_init_stands_in_the_current_folder(cli: Cli, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli("init").stdout.startswith("experiment.yaml: ")
    assert Path("experiment.yaml").read_text() == starter()


def test_init_overwrites_nothing(cli: Cli, tmp_path: Path):
    (tmp_path / "experiment.yaml").write_text("seed: 7\n")
    done = cli("init", tmp_path)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: {tmp_path}/experiment.yaml already exists\n"
        "  help: name another folder: moe-lab init DIR\n"
    )
    assert (tmp_path / "experiment.yaml").read_text() == "seed: 7\n"


def test_init_where_nothing_can_be_written_is_exit_4(cli: Cli, tmp_path: Path):
    (tmp_path / "file").touch()
    done = cli("init", tmp_path / "file" / "deeper")
    assert (done.exit_code, done.stdout) == (4, "")
    assert done.stderr.startswith(f"error: cannot write {tmp_path}/file/deeper/experiment.yaml: ")
