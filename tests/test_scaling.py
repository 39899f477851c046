"""The formulas of docs/scaling.md hold for real runs, and what measures its numbers works."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bench.counting import Counted
from conftest import small

from moe_lab import session
from moe_lab.config import load
from moe_lab.progress import Silent
from moe_lab.store.disk import Disk

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "docs"))

import footprint  # noqa: E402
import scaling  # noqa: E402

SETTINGS = [
    ("steps=7", "eval.every=3", "checkpoint.every=2", "keep=1"),
    ("steps=6", "eval.every=6", "checkpoint.every=2", "keep=9"),
    ("steps=5", "eval.every=2", "checkpoint.every=9", "keep=2", "n_layers=3"),
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_formula_counts_what_a_run_writes(settings: tuple[str, ...], tmp_path: Path) -> None:
    asked, system = load(None, small("name=x", *settings)), Counted()
    run = session.train(
        asked, runs_dir=tmp_path, exact=True, reporter=Silent(), disk=Disk(system)
    ).directory
    written, paths = footprint.Written.of(asked.config), list(run.rglob("*"))
    assert written.files == sum(path.is_file() for path in paths)
    assert written.folders == 1 + sum(path.is_dir() for path in paths)
    assert written.syncs == system.calls["sync"]
    assert written.renames == system.calls["rename"]


def test_the_formula_of_a_checkpoint_is_off_by_a_hundredth_at_most(trained: Path) -> None:
    newest = max((trained / "checkpoints").iterdir())
    size = sum(path.stat().st_size for path in newest.iterdir())
    config = load(trained / "resolved.yaml").config
    assert footprint.checkpoint(config, 256) == pytest.approx(size, rel=0.01)


def test_the_formula_of_tables_is_off_by_a_quarter_at_most(trained: Path) -> None:
    size = sum(path.stat().st_size for path in trained.glob("*.csv"))
    config = load(trained / "resolved.yaml").config
    assert footprint.CELL * footprint.cells(config, 8) == pytest.approx(size, rel=0.25)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the packaged sizes."""
    asked = load(None, ["name=x", "steps=40", "eval.every=20"])
    runs = tmp_path_factory.mktemp("runs")
    return session.train(asked, runs_dir=runs, exact=True, reporter=Silent()).directory


def test_what_was_measured_is_of_a_run_that_the_formulas_describe() -> None:
    run = scaling.found()["run"]
    written = footprint.Written.of(load(None, ["name=x", f"steps={run['steps']}"]).config)
    counted = {"files": run["files"], "folders": run["folders"]}
    counted |= {"syncs": run["calls"]["sync"], "renames": run["calls"]["rename"]}
    assert counted == {name: getattr(written, name) for name in counted}


def test_what_was_measured_has_ten_thousand_runs() -> None:
    assert list(scaling.found()["sizes"]) == ["100", "1000", "10000"]


@pytest.mark.slow
def test_the_measuring_script_works(tmp_path: Path) -> None:
    script, target = ROOT / "tests" / "bench" / "scale.py", tmp_path / "scale.json"
    subprocess.run([sys.executable, script, target, "--quick"], check=True, capture_output=True)
    found = json.loads(target.read_text())
    assert list(found) == list(scaling.found())
    (parts,) = found["sizes"].values()
    assert parts["drive"]["cpu_s"] > parts["plan"]["cpu_s"] > 0
    assert found["calls"]["drive, fenced"]["open"] > found["calls"]["drive"]["open"] > 0
