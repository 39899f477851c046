"""What several test files build: records of routing, small models and small runs."""

import csv
import json
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner, Result

from moe_lab import experiment, session
from moe_lab.cli import app
from moe_lab.config import Config, load
from moe_lab.experiment import Experiment
from moe_lab.model import LanguageModel, initialize
from moe_lab.plan import Plan, Point
from moe_lab.progress import Silent
from moe_lab.routing.base import Routing
from moe_lab.rows import Step
from moe_lab.store.disk import json_bytes
from moe_lab.store.seal import sealed
from moe_lab.store.sweep import StoredSweep, create_sweep

# No test is timed: a slow machine is no defect.
hypothesis.settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")

Record = Callable[..., Routing]
Configure = Callable[..., Config]
BuildModel = Callable[..., LanguageModel]
Cli = Callable[..., Result]
TrainRun = Callable[..., Path]
MakeSweep = Callable[..., StoredSweep]

SMALL = {
    "vocab_size": 32,
    "n_domains": 4,
    "seq_len": 16,
    "d_model": 16,
    "n_heads": 2,
    "d_expert": 16,
    "n_experts": 4,
    "batch_size": 4,
    "tokens": 128,
    "steps": 10,
    "warmup": 2,
}

FINISHED = ("name=small", "eval.every=5", "checkpoint.every=4", "router_grad_every=5")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def record() -> Record:
    """A Routing from the experts of each token; probabilities are uniform unless they matter."""

    def build(
        chosen: Sequence[Sequence[int]],
        *,
        n_experts: int = 0,
        probs: Sequence[Sequence[float]] | None = None,
        logits: Tensor | None = None,
        kept: Sequence[bool] | None = None,
        ties: int = 0,
    ) -> Routing:
        experts = torch.tensor(chosen)
        n_tokens, top_k = experts.shape
        if logits is None:
            fair = [[1 / n_experts] * n_experts] * n_tokens if n_experts else None
            logits = torch.tensor(probs or fair).log()
        router_probs = logits.softmax(-1)
        everything = [True] * experts.numel()
        return Routing(
            router_logits=logits,
            router_probs=router_probs,
            token=torch.arange(n_tokens).repeat_interleave(top_k),
            expert=experts.flatten(),
            gate=router_probs.gather(1, experts).flatten(),
            kept=torch.tensor(everything if kept is None else kept),
            ties=torch.tensor(ties),
        )

    return build


@pytest.fixture
def configure() -> Configure:
    """A config of a small model; overrides as keyword arguments."""

    def build(**overrides: Any) -> Config:
        settings = {**SMALL, **overrides}
        written = {key: "null" if value is None else value for key, value in settings.items()}
        return load(None, [f"{key}={value}" for key, value in written.items()]).config

    return build


@pytest.fixture
def build_model(configure: Configure) -> BuildModel:
    """A small initialised language model; overrides as keyword arguments."""

    def build(**overrides: Any) -> LanguageModel:
        config = configure(**overrides)
        model = LanguageModel(config, config.data.vocab_size)
        initialize(model, config)
        return model

    return build


def small(*settings: str) -> list[str]:
    """SMALL as `key=value`, with settings in the same form that win."""
    return [f"{k}={v}" for k, v in {**SMALL, **dict(s.split("=", 1) for s in settings)}.items()]


def small_text(path: Path, *settings: str) -> list[str]:
    """The same on a text, which has no domains and no vocabulary to choose."""
    given = small("source=text", f"path={path}", *settings)
    return [setting for setting in given if not setting.startswith(("vocab_size", "n_domains"))]


def build_experiment(*settings: str) -> Experiment:
    """The untrained parts of a small run."""
    return experiment.build(load(None, small(*settings)).config, torch.device("cpu"))


def rows(directory: Path, table: str, **wanted: object) -> list[dict[str, str]]:
    """The rows of a run's CSV as they stand there, those with the wanted cells."""
    with (directory / f"{table}.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    return [row for row in found if all(row[key] == str(value) for key, value in wanted.items())]


def results(directory: Path) -> dict[str, bytes]:
    """What must not depend on time: every table but timing, all arrays and the newest checkpoint."""
    newest = max((directory / "checkpoints").glob("step-*"))
    names = ("model.safetensors", "optimizer.safetensors", "state.json")
    tables = sorted(path for path in directory.glob("*.csv") if path.name != "timing.csv")
    arrays = sorted((directory / "router").iterdir())
    paths = [*tables, *arrays, *(newest / name for name in names)]
    return {path.name: path.read_bytes() for path in paths}


def edit(path: Path, **values: Any) -> None:
    """Writes other values into a JSON file of a run, as its writer would have: under its seal, if it has one."""
    record = {**json.loads(path.read_text()), **values}
    sealed_before = record.pop("sha256", None)
    path.write_bytes(json_bytes(sealed(record) if sealed_before else record))


def earlier(run: Path) -> Path:
    """Makes a finished run one of the first version, which stored neither its settings as JSON nor its outcomes."""
    for name, key in (("run.json", "config"), ("summary.json", "outcomes")):
        stored = json.loads((run / name).read_text())
        del stored[key], stored["sha256"]
        (run / name).write_text(json.dumps({**stored, "schema": 1}))
    return run


class SignalAt(Silent):
    """Shows nothing; sends this process a signal during one step, and keeps what is said."""

    def __init__(self, step: int, number: signal.Signals = signal.SIGINT):
        self.at, self.number = step, number
        self.said: list[str] = []

    def step(self, result: Step, elapsed_s: float) -> None:
        if result.step == self.at:
            os.kill(os.getpid(), self.number)

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture(scope="session")
def cli() -> Cli:
    """The command line, called in this process."""

    def call(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return call


@pytest.fixture
def train_run(cli: Cli, tmp_path: Path) -> TrainRun:
    """Trains a small run under tmp_path; settings, as `key=value`, win over SMALL."""

    def train(*settings: str) -> Path:
        done = cli("train", *small(*settings), "--runs-dir", tmp_path / "runs")
        assert done.exit_code == 0, done.stderr
        return Path(done.stdout.strip())

    return train


@pytest.fixture(scope="session")
def finished(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small finished run, to be read and not to be changed."""
    runs = tmp_path_factory.mktemp("finished")
    done = cli("train", *small(*FINISHED), "--runs-dir", runs)
    assert done.exit_code == 0, done.stderr
    return runs / "small"


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """The same run, stopped by SIGTERM after step 6."""
    reporter = SignalAt(6, signal.SIGTERM)
    asked = load(None, small(*FINISHED))
    return session.train(
        asked, runs_dir=tmp_path / "stopped", exact=True, reporter=reporter
    ).directory


@pytest.fixture
def make_sweep(tmp_path: Path) -> MakeSweep:
    """A small sweep over settings, none of its runs begun; its base is changed by `key=value`."""

    def make(
        points: list[dict[str, Any]],
        *base: str,
        seeds: tuple[int, ...] = (0, 1),
        rule: bool = False,
    ) -> StoredSweep:
        resolved = load(None, small(*base))
        named = [Point(f"p{i}", settings) for i, settings in enumerate(points)]
        plan = Plan(tuple(points[0]), tuple(named), seeds, "p0", rule)
        return create_sweep(tmp_path, "sweep", plan, base=resolved.dump(), config=b"")

    return make
