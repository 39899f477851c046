import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from conftest import Cli
from typer.testing import CliRunner

from moe_lab import __version__
from moe_lab.cli.door import Door, main


def test_version(cli: Cli):
    assert cli("--version").stdout == f"moe-lab {__version__}\n"


def test_help_names_every_command(cli: Cli):
    done = cli("--help")
    assert done.exit_code == 0
    for command in ("train", "resume", "report", "check", "ls", "init", "doctor", "config"):
        assert re.search(rf"(?m)^\s+{command}\s", done.stdout)


def test_a_bug_is_exit_1_and_a_traceback_is_for_debugging(cli: Cli, tmp_path: Path):
    broken = typer.Typer(cls=Door, callback=main)

    @broken.command()
    def fail() -> None:
        raise KeyError("ladder \x1b[2J")

    done = CliRunner().invoke(broken, ["fail"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        "error: this is a bug in moe-lab: KeyError('ladder \\x1b[2J')\n"
        "  help: run again with `moe-lab --debug …` for the traceback\n"
    )
    debugged = CliRunner().invoke(broken, ["--debug", "fail"])
    assert isinstance(debugged.exception, KeyError)
    assert "Traceback" in cli("--debug", "report", tmp_path).stderr  # of an error with a name


@pytest.mark.parametrize(
    "arguments",
    [("report", "RUN"), ("report", "RUN", "--format", "json"), ("config", "schema")],
    ids=" ".join,
)
def test_a_reader_that_leaves_early_is_met_with_silence(finished: Path, arguments):
    words = [str(finished) if word == "RUN" else word for word in arguments]
    command = [sys.executable, "-m", "moe_lab", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        child.stdout.close()
        assert child.stderr.read() == b""
    assert child.returncode == 0


def test_an_encoding_that_lacks_a_letter_is_no_error(finished: Path, tmp_path: Path):
    run = shutil.copytree(finished, tmp_path / "größe")
    command = [sys.executable, "-m", "moe_lab", "report", str(run)]
    environment = {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(rb"gr\xf6\xdfe: ")
