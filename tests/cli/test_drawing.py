import shutil
import stat
from pathlib import Path

import pytest
from conftest import Cli

from .conftest import Made


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A finished run that may be written to."""
    return shutil.copytree(finished, tmp_path / "runs" / "small")


def test_a_page_about_one_run_goes_into_its_folder_and_replaces_an_older_one(cli: Cli, run: Path):
    page = run / "report.html"
    page.write_text('<!doctype html><meta name="generator" content="moe-lab 0.0.1">')
    done = cli("report", "--html", run)  # what follows is no page, and so a run
    assert done.exit_code == 0, done.stderr
    assert done.stdout == f"{page}\n"
    assert page.read_bytes().startswith(b"<!doctype html>\n<html")
    assert stat.S_IMODE(page.stat().st_mode) == 0o600


def test_a_page_goes_where_it_is_named(cli: Cli, run: Path, tmp_path: Path):
    target = tmp_path / "new" / "Page.HTML"
    assert cli("report", run, run, "--html", target).stdout == f"{target}\n"
    assert target.is_file()
    assert not (run / "report.html").exists()


def test_a_page_about_several_runs_needs_a_name(cli: Cli, run: Path):
    done = cli("report", run, run, "--html")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "error: a page about several runs needs a name" in done.stderr
    assert "help: --html PATH.html" in done.stderr


def test_nothing_but_a_page_of_ours_is_replaced(cli: Cli, run: Path, tmp_path: Path):
    target = tmp_path / "mine.html"
    target.write_text("<p>mine</p>")
    done = cli("report", run, "--html", target)
    assert (done.exit_code, target.read_text()) == (2, "<p>mine</p>")
    assert "exists, and is no page of moe-lab" in done.stderr
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "link.html").symlink_to(target)
    for name in ("folder.html", "link.html"):
        assert cli("report", run, "--html", tmp_path / name).exit_code == 2


def test_a_target_that_cannot_be_written_is_exit_4_and_says_what_to_do(
    cli: Cli, run: Path, tmp_path: Path
):
    (tmp_path / "file").touch()
    for option, target in (("--html", "file/page.html"), ("--figures", "file/figures")):
        done = cli("report", run, option, tmp_path / target)
        assert (done.exit_code, done.stdout) == (4, "")
        assert f"help: choose another place: {option} " in done.stderr
    assert (tmp_path / "file").read_bytes() == b""


def test_a_report_is_printed_or_written(cli: Cli, run: Path):
    for asked in (("--format", "md"), ("--json",)):
        done = cli("report", run, "--html", *asked)
        assert (done.exit_code, done.stdout) == (2, "")
        assert "error: a report is printed, or written as a page or figures" in done.stderr
    assert not (run / "report.html").exists()


def test_what_is_no_run_is_exit_5_and_nothing_is_written(cli: Cli, tmp_path: Path):
    for option in ("--html", f"--figures={tmp_path / 'figures'}"):
        assert cli("report", tmp_path, option).exit_code == 5
    assert list(tmp_path.iterdir()) == []


def test_every_figure_is_a_file_and_what_is_none_says_why(cli: Cli, run: Path, tmp_path: Path):
    done = cli("report", run, "--figures", tmp_path / "figures", "--figure-format", "pdf")
    assert done.exit_code == 0, done.stderr
    paths = [Path(line) for line in done.stdout.splitlines()]
    assert len(paths) > 5
    assert sorted(paths) == sorted((tmp_path / "figures").iterdir())
    assert {path.suffix for path in paths} == {".pdf"}
    assert "no coactivation: " in done.stderr  # of k = 1


def test_figures_of_a_sweep(cli: Cli, made: Made, tmp_path: Path):
    done = cli("report", made.directory, "--figures", tmp_path / "figures")
    assert done.exit_code == 0, done.stderr
    assert {"front.svg", "dose-response.svg"} <= {
        path.name for path in (tmp_path / "figures").iterdir()
    }


def test_a_sweep_among_others_is_refused(cli: Cli, made: Made, run: Path):
    done = cli("report", run, made.directory, "--html=x.html")
    assert done.exit_code == 2
    assert "error: a sweep is reported by itself" in done.stderr
