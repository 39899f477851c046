from pathlib import Path

from moe_lab import __version__
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
