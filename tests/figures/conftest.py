"""A run that figures are drawn of."""

from pathlib import Path

import pytest
from conftest import Cli, small

from moe_lab.figures.subject import Subject
from moe_lab.frames import load_run


@pytest.fixture(scope="session")
def drawn_run(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small finished run of 4 experts, k = 2, over capacity, in 2 layers; to be read and not to be changed."""
    settings = ("name=drawn", "steps=30", "n_layers=2", "top_k=2", "capacity_factor=1.0")
    kept = ("eval.every=10", "checkpoint.every=30", "router_grad_every=5")
    runs = tmp_path_factory.mktemp("drawn")
    done = cli("train", *small(*settings, *kept), "--runs-dir", runs)
    assert done.exit_code == 0, done.stderr
    return runs / "drawn"


@pytest.fixture
def drawn_subject(drawn_run: Path) -> Subject:
    """The same run as figures see it, its tables not read yet."""
    return Subject.of(load_run(drawn_run))
