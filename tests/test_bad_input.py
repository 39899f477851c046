"""What depends on the machine, and what commands import. The corpus of bad input is in tests/reliability."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import Cli, small


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


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


def test_report_imports_no_torch(finished: Path):
    assert imported("report", finished) == (0, {"pandas"})
    assert imported("report", finished, "--format", "json") == (0, {"pandas"})
