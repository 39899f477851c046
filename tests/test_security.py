"""What SECURITY.md promises: no code in data, nothing private in a run, nobody else's eyes, no known hole beneath."""

import ast
import os
import re
import stat
import sys
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
import torch
from conftest import Cli, SignalAt, small

from moe_lab import machine, session
from moe_lab.config import load
from moe_lab.rows import Step

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "moe_lab").rglob("*.py"))

# Code in data

EXECUTES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}
CALLS = re.compile(
    r"eval|exec|compile|__import__|torch\.(load|save|hub\..*|jit\..*)|(pd|pandas)\.read_pickle"
    r"|yaml\.(load|load_all|full_load|full_load_all|unsafe_load|unsafe_load_all)|os\.(system|popen|exec\w+|spawn\w+)"
    r"|runpy\.\w+|code\.\w+|\w*\.?import_module"
)


def imports(tree: ast.AST) -> set[str]:
    """The packages that a file imports, wherever in it."""
    nodes = list(ast.walk(tree))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {name.split(".")[0] for name in plain} | {
        str(node.module).split(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)
    }


def dotted(node: ast.AST) -> str:
    """`torch.hub.load` as it is written; what is no name is left out."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}".lstrip(".")
    return node.id if isinstance(node, ast.Name) else ""


def calls(tree: ast.AST) -> Iterator[str]:
    """What a file calls that could run code, and any argument that would let data do so."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if CALLS.fullmatch(called := dotted(node.func)):
                yield called
            risky = ("allow_pickle", "shell", "trust_remote_code")
            yield from (
                f"{called}({k.arg}=…)"
                for k in node.keywords
                if k.arg in risky and ast.unparse(k.value) != "False"
            )


def risks(tree: ast.AST) -> set[str]:
    """All in a file that data could make run code by."""
    return imports(tree) & EXECUTES | set(calls(tree))


def test_nothing_runs_code_that_data_could_name():
    trees = {
        str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8")) for path in FILES
    }
    found = {name: risks(tree) for name, tree in trees.items()}
    # A method's name is that of a file of ours, which the next test tries; our own names are the other's.
    assert {name: what for name, what in found.items() if what} == {
        "moe_lab/registry.py": {"import_module"},
        "moe_lab/__init__.py": {"import_module"},
    }


def test_only_known_methods_are_imported_by_name(cli: Cli):
    for name in ("os", "base", "__init__", "../balancing/switch", "top_k.os"):
        done = cli("config", "check", f"moe.router={name}")
        assert (done.exit_code, done.stdout) == (2, "")
        assert "moe.router" in done.stderr


@pytest.mark.parametrize(
    "line",
    [
        *("import pickle", "from joblib import load", "def f():\n    import marshal"),
        *("eval('1')", "torch.load(f)", "yaml.load(f, Loader=L)", "importlib.import_module(name)"),
        *("np.load(f, allow_pickle=True)", "subprocess.run(c, shell=True)", "os.system('ls')"),
    ],
)
def test_the_search_finds_what_runs_code(line: str):
    assert risks(ast.parse(line))


# What a run tells of its user

SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMIplanted",
    "HF_TOKEN": "hf_planted0123456789",
    "WANDB_API_KEY": "0123456789plantedabcdef",
}


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory that one stands in, of a user with secrets in the environment."""
    home = tmp_path / "home" / "planted-user"
    home.mkdir(parents=True)
    monkeypatch.chdir(home)
    whoami = {"HOME": str(home), "USER": "planted-user", "LOGNAME": "planted-user"}
    for name, value in {**SECRETS, **whoami, "HOSTNAME": "planted-host"}.items():
        monkeypatch.setenv(name, value)
    return home


def everything(folder: Path) -> bytes:
    """The names and bytes of all that lies in a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return b"\n".join(str(path.relative_to(folder)).encode() + path.read_bytes() for path in files)


def test_no_secret_user_or_home_is_in_a_run(
    at_home: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
):
    (at_home / "base.yaml").write_text("seed: 1\n")
    typed = ["train", "base.yaml", *small("steps=30"), "--runs-dir", str(at_home / "runs")]
    monkeypatch.setattr(sys, "argv", [str(at_home / "bin" / "moe-lab"), *typed])
    explodes = ("lr=10", "weight_decay=1000", "grad_clip=null", "lr_schedule=constant")
    runs = [cli(*typed), cli(*typed, *explodes)]
    assert [done.exit_code for done in runs] == [0, 6]  # an error writes a log, too
    for found in (everything(at_home / "runs"), *(done.stderr.encode() for done in runs)):
        for planted in (*SECRETS.values(), "planted-host"):
            assert planted.encode() not in found
    assert b"planted-user" not in everything(at_home / "runs")
    record = session.StoredRun(at_home / "runs" / "run").record
    assert record["command"] == ["moe-lab", *typed[:-1], "~/runs"]


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("/home/me", "~"),
        ("/home/me/x.txt", "~/x.txt"),
        ("data.path={a: /home/me/a, b: /home/me/b}", "data.path={a: ~/a, b: ~/b}"),
        *((path, path) for path in ("/home/me2/x", "/data/home/me/x", "/home/me.x", "x/home/me")),
    ],
)
def test_the_home_directory_is_a_tilde_in_the_command(
    monkeypatch: pytest.MonkeyPatch, typed: str, kept: str
):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setattr(sys, "argv", ["/home/me/.venv/bin/moe-lab", typed])
    assert machine.command() == ["moe-lab", kept]


def test_of_the_environment_only_the_list_is_kept(monkeypatch: pytest.MonkeyPatch):
    for name in (*machine.ENVIRONMENT, *SECRETS):
        monkeypatch.setenv(name, "7")
    kept = machine.describe(torch.device("cpu"))["environment"]
    assert kept == dict.fromkeys(machine.ENVIRONMENT, "7")
    named = re.findall("`([A-Z_]+)`", (ROOT / "SECURITY.md").read_text(encoding="utf-8"))
    assert set(named) == set(machine.ENVIRONMENT)
    monkeypatch.delenv("SLURM_JOB_ID")
    assert "SLURM_JOB_ID" not in machine.describe(torch.device("cpu"))["environment"]


# Who can read it


class Modes(SignalAt):
    """Keeps the modes of all that lies beside or in the run at each step, then stops it."""

    def __init__(self, runs: Path, step: int):
        super().__init__(step)
        self.runs, self.found = runs, dict[str, int]()

    def step(self, result: Step, elapsed_s: float) -> None:
        for path in (self.runs, *self.runs.rglob("*")):
            self.found[str(path.relative_to(self.runs))] = path.lstat().st_mode
        super().step(result, elapsed_s)


@pytest.fixture(params=[0, 0o077, 0o022])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_a_run_is_its_owners_alone_whatever_the_umask(tmp_path: Path):
    asked = load(None, small("eval.every=2", "checkpoint.every=2", "steps=6"))
    runs = tmp_path / "runs"
    begun, gone_on = Modes(runs, 3), Modes(runs, 5)
    directory = session.train(asked, runs_dir=runs, exact=True, reporter=begun).directory
    session.resume(directory, reporter=gone_on)
    modes = begun.found | gone_on.found
    assert {"run/router/step-00000002.npz", "run/checkpoints/step-00000004"} <= modes.keys()
    for path, mode in modes.items():
        assert stat.S_IMODE(mode) == (0o700 if stat.S_ISDIR(mode) else 0o600), path


# What lies beneath

HOLES = {  # the first version without each
    "torch": ((2, 10), "CVE-2025-32434, CVE-2026-24747"),
    "pyyaml": ((5, 4), "CVE-2020-14343"),
    "numpy": ((1, 16, 3), "CVE-2019-6446"),
    "jinja2": ((3, 1, 6), "CVE-2025-27516"),  # torch needs it
    "transformers": ((4, 48), "CVE-2024-11392"),  # the extra hf
}


def versions(lines: list[str], mark: str) -> dict[str, tuple[int, ...]]:
    """The version after a mark such as `>=`, by package."""
    pairs = (line.split(mark) for line in lines if mark in line)
    return {
        re.split(r"[\[\s]", name)[0].lower(): tuple(map(int, re.findall(r"\d+", rest)[:3]))
        for name, rest in ((pair[0], pair[1].split(",")[0]) for pair in pairs)
    }


def test_no_version_with_a_known_hole_can_be_installed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    floors = versions([*project["dependencies"], *chain(*extras)], ">=")
    pinned = versions((ROOT / "constraints.txt").read_text().splitlines(), "==")
    assert {"torch", "pyyaml", "numpy"} <= floors.keys()
    for package, (safe, hole) in HOLES.items():
        assert floors.get(package, safe) >= safe, hole
        assert pinned[package] >= safe, hole


@pytest.mark.parametrize("version", ["2.9.1", "2.9.1+cu130", "1.13.0"])
def test_an_old_torch_is_refused_before_anything_is_written(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
):
    monkeypatch.setattr(torch, "__version__", version)
    done = cli("train", *small(), "--runs-dir", tmp_path / "runs")
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"error: torch {version} is too old: 2.10 fixes CVE-2026-24747\n" in done.stderr
    assert "  help: pip install 'torch>=2.10'\n" in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("version", ["2.10.0", "2.13.0+cpu", "2.10.0a0", "3.0.0"])
def test_a_torch_from_the_floor_on_is_taken(version: str):
    machine.refuse_old(version)


def test_the_floor_is_the_one_that_is_installed():
    (line,) = (
        line for line in (ROOT / "pyproject.toml").read_text().splitlines() if '"torch>=' in line
    )
    assert versions([line.strip(' "')], ">=")["torch"] == machine.TORCH_FLOOR
