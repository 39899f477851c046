from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from moe_lab import __version__, doctor
from moe_lab.doctor import environment


def test_the_environment_is_words_that_can_be_pasted(tmp_path: Path):
    found = environment(tmp_path / "not" / "made" / "yet")
    assert found["moe_lab"] == __version__
    assert all(isinstance(value, str) and value.isprintable() for value in found.values())
    assert found["runs"].startswith(f"{tmp_path}/not/made/yet: writable, ")
    assert not (tmp_path / "not").exists()


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path):
    found = environment(Path("/proc/runs"))  # where not even root can write
    assert found["runs"].startswith("/proc/runs: cannot be written: ")


def test_engines_are_named_whether_they_are_there_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def missing(package: str) -> str:
        if package in ("ray", "submitit"):
            raise PackageNotFoundError(package)
        return "1.2.3"

    monkeypatch.setattr(doctor, "version", missing)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = environment(tmp_path)
    assert found["ray"] == "not installed"
    assert found["slurm"] == "submitit not installed, sbatch not found"
    (tmp_path / "sbatch").touch(0o755)
    monkeypatch.setattr(doctor, "version", lambda package: "1.2.3")
    assert environment(tmp_path)["slurm"] == f"submitit 1.2.3, sbatch {tmp_path}/sbatch"
    assert "gloo" in found["torchrun"].split(", ")
