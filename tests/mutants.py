"""One-line faults that the tests must notice: `make mutants`. Prints a line per fault, exits 1 if one survives.

Each fault is put into a copy of the package, and the named tests are run against the copy.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Mutant:
    """A fault: in a file, one text for another; and the tests that should fail."""

    file: str
    right: str
    wrong: str
    tests: str


MUTANTS = (
    Mutant("routing/base.py", "/ len(self.expert)\n", "/ len(self.router_probs)\n", "balancing"),
    Mutant("capacity.py", "return ceil(", "return int(", "test_capacity.py"),
    Mutant("routing/base.py", "rank < slots", "rank <= slots", "routing"),
    Mutant("routing/base.py", "if tied.any():", "if False:", "routing"),
    Mutant("routing/base.py", "largest[:, -2] == largest[:, -1]", "largest[:, 0] == largest[:, -1]", "routing"),
    Mutant("routing/base.py", "self.training and self.noise", "self.noise", "routing"),
    Mutant("routing/top_k.py", "probs.gather(1, chosen)", "selection.softmax(-1).gather(1, chosen)", "routing"),
    Mutant("routing/top_k.py", "if self.renormalize:", "if not self.renormalize:", "routing"),
    Mutant("balancing/importance.py", "correction=0", "correction=1", "balancing"),
    Mutant("balancing/switch.py", "routing.load() *", "routing.importance() *", "balancing"),
    Mutant("balancing/router_z.py", ".square().mean()", ".mean().square()", "balancing"),
    Mutant("experts.py", "kept = routing.kept[order]", "kept = routing.kept[order] | True", "test_experts.py test_moe.py"),
    Mutant("experts.py", "routing.gate.index_select(0, rows)", "routing.gate[: len(rows)]", "test_experts.py test_moe.py"),
    Mutant("moe.py", "self.limits.training if self.training", "self.limits.training if True", "test_moe.py test_evaluate.py"),
    Mutant("model.py", "is_causal=True", "is_causal=False", "test_model.py"),
    Mutant("metrics.py", "(n_experts - top_k) / (top_k * tokens)", "(n_experts - 1) / (top_k * tokens)", "test_metrics.py"),
    Mutant("metrics.py", "return exp(load_entropy(q))", "return 1 / float((q * q).sum())", "test_metrics.py"),
    Mutant("metrics.py", "step - self._crossed + 1 < SUSTAINED", "step - self._crossed < SUSTAINED", "test_metrics_verdict.py"),
    Mutant("metrics.py", "(found - float(np.mean(null)))", "found", "test_metrics.py"),
    Mutant("metrics.py", "spare = len(q) - top_k", "spare = len(q) - 1", "test_metrics.py"),
    Mutant("streams.py", 'purpose, *self.index]', 'purpose]', "test_streams.py"),
    Mutant("data/domains.py", "belief = belief * self.tables", "belief = belief + self.tables", "data"),
    Mutant("data/domains.py", 'self.stream.at("eval")', 'self.stream.at("train", 1)', "data"),
    Mutant("data/domains.py", "_entropy(pairs) - _entropy(pairs.sum(1))", "_entropy(pairs) - _entropy(pairs.sum(0)) / 2", "data"),
    Mutant("data/text.py", "self.training[block, 1] - self.window + 1 + drawn", "self.training[block, 1] + drawn", "data"),
    Mutant("evaluate.py", "logits.double().log_softmax(-1)", "logits.double()", "test_evaluate.py data"),
    Mutant("tally.py", "loss * len(routing.router_probs)", "loss", "test_tally.py"),
    Mutant("train.py", "loss = lm_loss + aux_loss", "loss = lm_loss", "test_train.py"),
    Mutant("train.py", "weigh(raw, experiment.weights) / train.accumulate", "weigh(raw, experiment.weights)", "test_train.py"),
    Mutant("train.py", "whole - grad", "whole", "test_train.py"),
    Mutant("train.py", '_require_finite(loss, "loss", step)', "pass", "test_train.py test_session.py"),
    Mutant("experiment.py", "window.counts.extend(", "list(", "test_experiment.py test_resume.py"),
    Mutant("store/commit.py", "_checked_files(target)\n", "pass\n", "store"),
)  # fmt: skip


def main() -> int:
    """Try every mutant; the exit status says whether all were noticed."""
    survivors = [mutant for mutant in MUTANTS if not _noticed(mutant)]
    print(f"{len(MUTANTS) - len(survivors)} of {len(MUTANTS)} faults were noticed")
    return 1 if survivors else 0


def _noticed(mutant: Mutant) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for part in ("moe_lab", "tests", "configs", "pyproject.toml"):
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy / part)
        path = copy / "moe_lab" / mutant.file
        text = path.read_text(encoding="utf-8")
        assert text.count(mutant.right) == 1, f"{mutant.file} has not once: {mutant.right!r}"
        path.write_text(text.replace(mutant.right, mutant.wrong), encoding="utf-8")
        failed = _tests_fail(copy, mutant.tests)
    print(f"{'noticed ' if failed else 'SURVIVED'}  {mutant.file}: {mutant.right.strip()} -> {mutant.wrong.strip()}", flush=True)  # fmt: skip
    return failed


def _tests_fail(copy: Path, tests: str) -> bool:
    """Whether the tests, run on the copy, fail as tests do (1) and not for another reason."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "-m",
        "not slow",
    ]
    paths = [f"tests/{name}" for name in tests.split()]
    environment = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, *paths], cwd=copy, env=environment, capture_output=True, text=True)  # fmt: skip
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.returncode == 1


if __name__ == "__main__":
    sys.exit(main())
