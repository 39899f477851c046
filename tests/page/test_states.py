from pathlib import Path

from conftest import Cli, MakeSweep, TrainRun, edit, small_text

from .conftest import by_id, of_run, of_sweep, parsed

# Runs that are not over, or went wrong


def test_a_stopped_run_has_a_page_that_says_so(stopped: Path):
    root = parsed(of_run(stopped))
    assert "stopped, 6 of 10 steps" in root.all("header")[0].text
    assert "is stopped" in by_id(root, "troubles").text


def test_a_run_of_one_step_has_a_page(train_run: TrainRun):
    assert "finished, 1 of 1 steps" in of_run(train_run("steps=1", "eval.every=1", "warmup=0"))


def test_a_model_without_experts_has_a_page(train_run: TrainRun):
    assert "This model has no experts." in of_run(train_run("moe_layers=none"))


def test_a_failed_run_tells_why_with_the_end_of_its_log(copied: Path):
    (copied / "summary.json").unlink()
    edit(copied / "status.json", state="failed", reason="OSError('<b>full</b>')")
    (copied / "log.txt").write_text("\n".join(f"line {n} of <i>it</i>" for n in range(40)))
    told = by_id(parsed(of_run(copied)), "troubles").text
    assert "small failed: OSError('<b>full</b>')" in told
    assert "line 39 of <i>it</i>" in told
    assert "line 27 " not in told


def test_a_log_that_leads_elsewhere_is_not_read(copied: Path, tmp_path: Path):
    (copied / "summary.json").unlink()
    edit(copied / "status.json", state="failed", reason="x")
    (tmp_path / "canary").write_text("canary 4711")
    (copied / "log.txt").symlink_to(tmp_path / "canary")
    html = of_run(copied)
    assert "canary 4711" not in html
    assert "is not a plain file" in html


def test_a_sweep_whose_runs_have_not_begun_has_a_page(make_sweep: MakeSweep):
    html = of_sweep(make_sweep([{"moe.alpha": 0.0}, {"moe.alpha": 1.0}]).directory)
    assert "No run has finished yet." in html
    assert "not finished: 4 pending" in html


def test_a_run_on_text_has_a_page_that_names_the_file_alone(cli: Cli, tmp_path: Path):
    (tmp_path / "my.txt").write_text("to be or not to be, that is the question\n" * 60)
    asked = small_text(tmp_path / "my.txt", "name=words")
    assert cli("train", *asked, "--runs-dir", tmp_path).exit_code == 0
    html = of_run(tmp_path / "words")
    assert "my.txt" in html
    assert str(tmp_path) not in html
