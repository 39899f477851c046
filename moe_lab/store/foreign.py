"""What a folder that is no run is instead, told from the names in it."""

from fnmatch import fnmatch
from pathlib import Path

from moe_lab.errors import ArtefactError
from moe_lab.store import files, layout

OTHERS = {  # by the names that give them away
    "PyTorch Lightning": ("lightning_logs", "hparams.yaml"),
    "Weights & Biases": ("wandb", "wandb-metadata.json", "*.wandb"),
    "TensorBoard": ("events.out.tfevents.*",),
    "Hugging Face Trainer": ("trainer_state.json",),
}


def not_a_run(directory: Path, reason: str) -> ArtefactError:
    """The error for a folder without a run, with what it seems to be as its remedy."""
    try:
        names = [path.name for path in files.entries(directory)]
    except (OSError, ArtefactError):
        names = []
    if layout.SWEEP in names:
        return ArtefactError(f"{directory} is a sweep, not a run", help=_one_of(directory, names))
    message = f"{directory} is not a moe-lab run: {reason}"
    return ArtefactError(message, help=_guess(directory, names))


def _one_of(sweep: Path, names: list[str]) -> str:
    run = next((name for name in names if _is_run(sweep / name)), None)
    return f"name one of its runs, such as {sweep / run}" if run else "none of its runs has begun"


def _guess(directory: Path, names: list[str]) -> str | None:
    if any(_is_run(directory / name) for name in names):
        return f"it holds runs: moe-lab ls {directory}"
    for kind, marks in OTHERS.items():
        if any(fnmatch(name, mark) for name in names for mark in marks):
            return f"it looks like a folder of {kind}; moe_lab.monitor records such a loop as a run"
    return None


def _is_run(directory: Path) -> bool:
    return (directory / layout.RECORD).is_file()
