import json
from pathlib import Path

import pytest
from conftest import Cli

from moe_lab import metrics


@pytest.mark.slow
def test_a_sound_installation_passes(cli: Cli, tmp_path: Path):
    done = cli("doctor", "--runs-dir", tmp_path)
    assert (done.exit_code, done.stderr) == (0, "")
    assert f"{tmp_path}: writable" in done.stdout
    assert "FAILED" not in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_broken_metric_is_exit_3_and_is_named(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    right = metrics.cv
    monkeypatch.setattr(metrics, "cv", lambda load: right(load) * (4 / 3) ** 0.5)  # sample std
    done = cli("doctor", "--runs-dir", tmp_path, "--json")
    assert done.exit_code == 3
    found = json.loads(done.stdout)
    (failed,) = [check for check in found["checks"] if not check["passed"]]
    assert failed["measured"] == pytest.approx(1.1547, abs=1e-4)  # sqrt(4/3)
    assert failed["expected"] == 1
    assert done.stderr == f"self-test failed: {failed['check']}\n"
    assert found["environment"].keys() >= {"moe_lab", "python", "torch", "cores", "memory", "runs"}
