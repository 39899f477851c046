"""Folders that are no runs, and what they are instead."""

from pathlib import Path

import pytest

from moe_lab.errors import ArtefactError
from moe_lab.store.read import StoredRun

from .conftest import new_run


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("hparams.yaml", "PyTorch Lightning"),
        ("lightning_logs", "PyTorch Lightning"),
        ("wandb-metadata.json", "Weights & Biases"),
        ("run-abc.wandb", "Weights & Biases"),
        ("events.out.tfevents.1700000000.host.1.0", "TensorBoard"),
        ("trainer_state.json", "Hugging Face Trainer"),
    ],
)
def test_another_tools_folder_is_told_by_its_names(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(ArtefactError) as caught:
        StoredRun(tmp_path)
    assert caught.value.render() == (
        f"error: {tmp_path} is not a moe-lab run: it has no run.json\n"
        f"  help: it looks like a folder of {kind}; moe_lab.monitor records such a loop as a run"
    )


def test_a_folder_of_runs_says_how_to_list_them(runs: Path) -> None:
    new_run(runs).close()
    with pytest.raises(ArtefactError) as caught:
        StoredRun(runs)
    assert caught.value.render().endswith(f"help: it holds runs: moe-lab ls {runs}")


def test_an_empty_or_missing_folder_is_guessed_to_be_nothing(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ArtefactError) as caught:
            StoredRun(folder)
        assert caught.value.render() == f"error: {folder} is not a moe-lab run: it has no run.json"
