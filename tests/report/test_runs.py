"""Runs whose files somebody has changed, under the seal or without: what a report relies on is checked."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import edit

from moe_lab.errors import ArtefactError
from moe_lab.report.runs import open_run, read


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "small"))


@pytest.mark.parametrize(
    ("name", "key", "value", "said"),
    [
        ("run.json", "created", "2026-01-01T00:00:00", "created: .* a time without its zone"),
        ("run.json", "steps", "10", "steps: .* valid integer"),
        ("run.json", "seed", True, "seed: .* valid integer"),
        ("run.json", "role", {}, "role.comparable: Field required"),
        ("run.json", "config", {"seed": 1}, "config.moe: Field required"),
        (
            "run.json",
            "config",
            {"seed": 1, "moe": {"n_experts": 1, "top_k": 1}},
            "config.moe.n_experts: ",
        ),
        ("status.json", "state", "splendid", "state: "),
        ("status.json", "step", -1, "step: "),
        ("summary.json", "layers", [], "layers: "),
        ("summary.json", "layers", {"0": {"verdict": "fine"}}, "layers.0.verdict: "),
    ],
)
def test_a_record_of_another_kind_is_refused_with_its_key(
    run: Path, name: str, key: str, value: Any, said: str
) -> None:
    edit(run / name, **{key: value})
    with pytest.raises(ArtefactError, match=f"{name} is corrupt: {said}"):
        open_run(run)


@pytest.mark.parametrize("name", ["run.json", "summary.json"])
def test_a_changed_digit_breaks_the_seal(run: Path, name: str) -> None:
    text = (run / name).read_text()
    (run / name).write_text(text.replace('"steps": 10', '"steps": 18'))
    with pytest.raises(ArtefactError, match=f"{name} is corrupt: its SHA-256 differs"):
        open_run(run)


def test_a_key_that_is_not_known_is_let_through(run: Path) -> None:
    edit(run / "run.json", mood="good")
    assert open_run(run).record["mood"] == "good"


def test_a_table_without_a_column_that_is_needed_is_refused(run: Path) -> None:
    (run / "cv.csv").write_text("step,split,layer\n")
    with pytest.raises(ArtefactError, match=r"cv\.csv has no column assignments, n_eff, dropped"):
        read(open_run(run), "cv")
