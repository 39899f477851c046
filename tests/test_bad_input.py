"""What the command line refuses: located, before anything is written, before torch is imported."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import Cli, small


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


REFUSED = [
    ("moe: {alpah: 1}", [], "bad.yaml:1:7", "unknown config key 'moe.alpah'"),
    ("moe: {alpha: 1}", ["alpah=1"], "command line: alpah=1", "unknown config key 'alpah'"),
    ("moe: {alpha: high}", [], "bad.yaml:1:14", "'moe.alpha': expected a number"),
    ("moe: {alpha: -1}", [], "bad.yaml:1:14", "'moe.alpha'"),
    ("moe: {top_k: 2.0}", [], "bad.yaml:1:14", "'moe.top_k': expected an integer"),
    ("moe: {top_k: 9}", [], "bad.yaml:1:7", "'moe.top_k' (9) must not exceed"),
    ("seed: 0", ["top_k=9"], "command line: top_k=9", "'moe.top_k' (9) must not exceed"),
    ("moe: {init_std: 0}", [], "bad.yaml:1:7", "ties on every token"),
    ("seed: 0", ["renormalize=true"], "command line: renormalize=true", "gives the router no"),
    ("moe: {capacity_factor: 0}", [], "bad.yaml:1:24", "'moe.capacity_factor'"),
    ("model: {d_expert: 20}", [], "bad.yaml:1:9", "is not a multiple of 8"),
    ("model: {moe_layers: [2]}", [], "bad.yaml:1:9", "names block 2"),
    ("", [], "bad.yaml", "the file is empty"),
    ("seed: 1\nseed: 2", [], "bad.yaml:2:1", "seed"),
    ("name: a/b", [], "bad.yaml:1:7", "'name'"),
    ("seed: 0", ["--name", "../x"], "command line: name=../x", "'name'"),
    ("data: {source: text}", [], "bad.yaml:1:1", "path"),
    ("data: {source: text, path: nowhere.txt}", [], "bad.yaml:1:22", "no such file: "),
    ("data: {source: text, path: empty.txt}", [], "bad.yaml:1:22", "is empty"),
    ("data: {source: text, path: short.txt}", [], "bad.yaml:1:22", "has 129 bytes"),
    ("data: {source: text, path: runs}", [], "bad.yaml:1:22", "there are no files in "),
    (None, [], "bad.yaml", "config not found"),
]


@pytest.mark.parametrize(("text", "extra", "place", "message"), REFUSED)
def test_bad_input_is_located_and_writes_nothing(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text, extra, place, message
):
    monkeypatch.chdir(tmp_path)
    Path("empty.txt").touch()
    Path("short.txt").write_bytes(b"x" * 129)  # two windows of 64 + 1 need 130
    if text is not None:
        Path("bad.yaml").write_text(text)
    shutil.copytree(Path(__file__).parent / "store", "runs/old")
    before = listing(tmp_path)
    done = cli("train", "bad.yaml", *extra)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert re.search(rf"(?m){re.escape(place)}(:|$)", done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert listing(tmp_path) == before


@pytest.mark.parametrize("inside", [".", "deeper"])
def test_a_runs_folder_that_cannot_be_made_is_exit_4(cli: Cli, tmp_path: Path, inside):
    (tmp_path / "file").write_text("mine")
    done = cli("train", *small(), "--runs-dir", tmp_path / "file" / inside)
    assert (done.exit_code, done.stdout) == (4, "")
    assert done.stderr.startswith(f"error: cannot write {tmp_path}/file: File exists\n")
    assert done.stderr.endswith("  help: choose another place with --runs-dir\n")
    assert listing(tmp_path) == ["file"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA GPU here")
def test_cuda_without_cuda_is_refused(cli: Cli, tmp_path: Path):
    (tmp_path / "a.yaml").write_text("train:\n  device: cuda\n")
    done = cli("train", tmp_path / "a.yaml", "--runs-dir", tmp_path / "runs")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "finds no CUDA GPU here" in done.stderr
    assert f"  --> {tmp_path}/a.yaml:2:3\n" in done.stderr
    assert "  help: use train.device=cpu, or install a CUDA build" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_two_config_files_are_refused(cli: Cli):
    done = cli("train", "a.yaml", "b.yaml")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == (
        "error: two config files were given: a.yaml and b.yaml\n"
        "  help: give one file; settings are written key=value\n"
    )


@pytest.mark.parametrize("arguments", [("bogus",), ("train", "--bogus"), ("report",), ("resume",)])
def test_wrong_usage_is_exit_2(cli: Cli, arguments):
    done = cli(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Usage: " in done.stderr


# What is imported


def imported(*arguments: object) -> tuple[int, set[str]]:
    """Exit code of the command, and which of the slow packages it has imported."""
    code = (
        "import sys\nfrom moe_lab.cli import app\n"
        "try:\n    app()\nexcept SystemExit as end:\n"
        "    print(end.code or 0, *(p for p in ('torch', 'pandas', 'scipy') if p in sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True
    )
    exit_code, *packages = done.stdout.splitlines()[-1].split()
    return int(exit_code), set(packages)


def test_help_imports_nothing_that_is_slow():
    code = (
        "import sys\nfrom moe_lab.cli import app\ntry:\n    app(['--help'])\nexcept SystemExit:\n"
        "    print(*(p for p in ('torch', 'pandas', 'numpy', 'pydantic', 'yaml') if p in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == ""


def test_help_and_config_import_neither_torch_nor_pandas():
    helps = (("--help",), ("train", "--help"), ("sweep", "--help"))
    for arguments in (*helps, ("config", "show"), ("config", "schema")):
        assert imported(*arguments) == (0, set()), arguments


def test_errors_import_neither_torch_nor_pandas(tmp_path: Path):
    (tmp_path / "bad.yaml").write_text("nope: 1\ntrain: {steps: many}\n")
    assert imported("train", tmp_path / "bad.yaml") == (2, set())
    assert imported("train", "top_k=99") == (2, set())
    assert imported("train", "source=text", f"path={tmp_path}/nowhere") == (2, set())
    assert imported("report", tmp_path) == (5, set())
    assert imported("sweep", "alpha=0,-1", "--dry-run") == (2, set())
    assert imported("sweep", "alpha", "--jobs", "9999") == (2, set())


def test_report_imports_no_torch(finished: Path):
    assert imported("report", finished) == (0, {"pandas"})
    assert imported("report", finished, "--format", "json") == (0, {"pandas"})
