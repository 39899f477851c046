"""moe-lab export."""

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from conftest import Cli

FROZEN = Path(__file__).parents[1] / "reliability" / "frozen" / "schema-2"
EXTRAS = pytest.mark.parametrize(
    ("to", "package"), [("parquet", "pyarrow"), ("tensorboard", "tensorboard")]
)
FORMS = pytest.mark.parametrize("to", ["csv-long", "parquet", "tensorboard"])


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "runs" / "small")


@FORMS
def test_stdout_is_the_path_and_stderr_what_was_written_and_what_to_do(
    cli: Cli, run: Path, to: str
):
    done = cli("export", run, "--to", to)
    assert (done.exit_code, done.stdout) == (0, f"{run}/export/{to}\n")
    written, following = done.stderr.splitlines()
    assert written == (
        "1 run; rows: steps 10, utilization 26, cv 26, aux_loss 26, eval 3, router 6, timing 10"
    )
    start = {"csv-long": "pd.read_csv(", "parquet": "pd.read_parquet("}.get(
        to, "tensorboard --logdir "
    )
    assert following.startswith(f"next: {start}")


@pytest.mark.parametrize("to", ["csv-long", "parquet"])
def test_what_to_do_next_can_be_done(cli: Cli, run: Path, to: str):
    moved = run.rename(run.with_name('a "quoted" name\'s'))
    said = cli("export", moved, "--to", to).stderr.splitlines()[-1].removeprefix("next: ")
    frame = eval(said, {"pd": pd})
    assert len(frame) >= 26


def test_a_sweep_is_one_export(cli: Cli, tmp_path: Path):
    copied = shutil.copytree(FROZEN / "sweep-alpha", tmp_path / "sweep-alpha")
    (copied / "alpha-0-s0" / "run.json").write_text("{")
    shutil.rmtree(copied / "alpha-0-s1")
    done = cli("export", copied, "--to", "csv-long")
    assert done.exit_code == 0
    first, second, _ = done.stderr.splitlines()
    assert first.startswith("left out: alpha-0-s0: ")
    assert second.startswith("2 runs (1 not begun); rows: steps 12, ")


@EXTRAS
def test_a_missing_extra_is_named_before_anything_is_read_or_written(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str, package: str
):
    monkeypatch.setitem(sys.modules, package, None)
    done = cli("export", tmp_path / "nowhere", "--to", to)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: --to {to} needs the package {package}\n  help: pip install 'moe-lab[{to}]'\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_csv_long_needs_no_extra_and_no_torch(run: Path):
    absent = "import sys; sys.modules |= dict.fromkeys(('torch', 'pyarrow', 'tensorboard'))"
    code = f"{absent}; from moe_lab.cli import app; app()"
    command = [sys.executable, "-c", code, "export", str(run), "--to", "csv-long"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"{run}/export/csv-long\n"), done.stderr


def test_several_runs_need_a_place(cli: Cli, run: Path, stopped: Path, tmp_path: Path):
    refused = cli("export", run, stopped, "--to", "csv-long")
    assert refused.exit_code == 2
    assert "help: name it: --out FOLDER" in refused.stderr
    done = cli("export", run, stopped, "--to", "csv-long", "--out", tmp_path / "both")
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path}/both\n")


def test_a_place_that_holds_something_else_is_refused(cli: Cli, run: Path, tmp_path: Path):
    (tmp_path / "mine").mkdir()
    done = cli("export", run, "--to", "csv-long", "--out", tmp_path / "mine")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "help: name another place: --out FOLDER" in done.stderr


def test_a_place_inside_a_file_is_a_matter_of_the_disk(cli: Cli, run: Path, tmp_path: Path):
    (tmp_path / "file").touch()
    done = cli("export", run, "--to", "csv-long", "--out", tmp_path / "file" / "x")
    assert done.exit_code == 4
    assert "help: choose another place: --out FOLDER" in done.stderr


def test_a_foreign_folder_is_none_of_ours(cli: Cli, tmp_path: Path):
    (tmp_path / "events.out.tfevents.1").touch()
    done = cli("export", tmp_path, "--to", "csv-long")
    assert done.exit_code == 5
    assert "it looks like a folder of TensorBoard" in done.stderr


def test_a_form_that_there_is_not_is_refused_with_those_that_there_are(cli: Cli, run: Path):
    done = cli("export", run, "--to", "wandb")
    assert done.exit_code == 2
    assert all(form in done.stderr for form in ("csv-long", "parquet", "tensorboard"))
