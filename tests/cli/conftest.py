"""A small finished sweep, made once by the command."""

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import Cli, small

COMMAND = ("sweep", "alpha=0,0.1", "--seeds", "2", *small())
SWEEP = "sweep-alpha"
RUN = "alpha-0.1-s1"  # one of its runs


class Made(NamedTuple):
    """A finished sweep, and what the command that made it wrote to stdout and stderr."""

    directory: Path
    out: str
    err: str

    @property
    def table(self) -> str:
        """What was printed before the directory."""
        return self.out.removesuffix(f"{self.directory}\n")


@pytest.fixture(scope="session")
def made(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Two alphas at two seeds, to be read and not to be changed."""
    runs = tmp_path_factory.mktemp("sweeps")
    done = cli(*COMMAND, "--runs-dir", runs)
    assert done.exit_code == 0, done.stderr
    return Made(runs / SWEEP, done.stdout, done.stderr)


@pytest.fixture
def copied(made: Made, tmp_path: Path) -> Path:
    """The same sweep in another place."""
    return shutil.copytree(made.directory, tmp_path / "runs" / SWEEP)
