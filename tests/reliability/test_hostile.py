"""Runs that somebody has prepared are read without harm: nothing is run, written or followed, and memory is bounded."""

import json
import os
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli

from moe_lab.errors import ArtefactError
from moe_lab.page import runs

from . import hostile
from .conftest import FULL, Tally, scale
from .hostile import CANARY, Case
from .sampling import sample

MEMORY_MB = 300
COSTLY = ("100,001 arrays", "a million events")  # to make
FORMS = scale(("table",), ("table", "md", "csv", "json"))


class Server:
    """Commands on prepared runs, each in a watched process."""

    def __init__(self, good: Path):
        command = [sys.executable, "-m", "reliability.hostile_server", str(good)]
        environment = {
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "OMP_NUM_THREADS": "1",
        }
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._child = subprocess.Popen(command, **pipes, text=True, env=environment)

    def __call__(self, folder: Path, *arguments: object) -> dict[str, Any]:
        assert self._child.stdin
        assert self._child.stdout
        self._child.stdin.write(json.dumps([str(folder), *map(str, arguments)]) + "\n")
        self._child.stdin.flush()
        found: dict[str, Any] = json.loads(self._child.stdout.readline())
        return found

    def close(self) -> None:
        self._child.communicate()


@pytest.fixture(scope="module")
def server(finished: Path) -> Iterator[Server]:
    running = Server(finished)
    yield running
    running.close()


@pytest.fixture
def cases(finished: Path) -> list[Case]:
    files = sorted(path.name for path in finished.iterdir() if path.is_file())
    every = [case for case in hostile.corpus(files) if FULL or case.name not in COSTLY]
    return sample(every, scale(9, -1))


def is_harmless(text: str) -> bool:
    """Whether a terminal shows it as it is: lines of visible characters."""
    return all(
        c in "\r\n" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in text
    )


def wrong(found: dict[str, Any], codes: tuple[int, ...]) -> str | None:
    """What a command should not have done."""
    if found["code"] not in codes or "Traceback" in found["err"]:
        return f"exit {found['code']}: {found['err'][-300:]}"
    if not is_harmless(found["out"] + found["err"]):
        return f"control characters: {found['out'] + found['err']!r}"
    if found["seen"]:
        return f"did {found['seen'][:3]}"
    if found["peak_mb"] > MEMORY_MB:
        return f"took {found['peak_mb']:.0f} MB"
    return None


def harm(server: Server, folder: Path, said: str) -> Iterator[str | None]:
    """What is wrong with each reading of the run there."""
    run = folder / "small"
    for form in FORMS:
        found = server(run, "report", run, "--format", form)
        yield wrong(found, (0, 5))
        yield None if said in found["err"] + found["out"] else f"did not say {said}: {found['err']}"
    yield wrong(server(run, "report", *sorted(folder.iterdir())), (0, 5))
    yield wrong(server(run, "ls", folder), (0,))
    yield wrong(server(run, "ls", folder, "--json"), (0,))
    yield wrong(server(run, "check", run, "--fail-on", "cv > 9"), (0, 2, 3, 5))


def test_prepared_runs_do_no_harm(
    server: Server, cases: list[Case], finished: Path, memory: Path, tally: Tally
) -> None:
    bad = []
    for i, case in enumerate(cases):
        folder = memory / str(i)
        run = shutil.copytree(finished, folder / "small")
        canary = folder / CANARY
        canary.write_text("mine")
        before = canary.stat()
        case.make(run)
        bad += [f"{case.name}: {found}" for found in harm(server, folder, case.said) if found]
        if canary.stat() != before or list(memory.rglob("unpickled")):
            bad.append(f"{case.name}: something outside was touched")
        shutil.rmtree(folder)
    tally("hostile run folders", len(cases), len(bad))
    assert not bad, "\n".join(bad[:8])


def shown(cli: Cli, run: Path) -> Iterator[str | None]:
    """What is wrong with watching, exporting and drawing the run there."""
    for arguments in (("watch", run, "--once"), ("export", run, "--to", "csv-long")):
        done = cli(*arguments)
        said = done.stdout + done.stderr
        refused = done.exit_code not in (0, 5) or not is_harmless(said)
        yield f"{arguments[0]}: exit {done.exit_code}: {said[-300:]!r}" if refused else None
    try:
        text = runs.page([run]).html("")
    except ArtefactError:
        return
    except Exception as error:
        yield f"page: {error!r}"
        return
    marks = "".join(text.split("\n"))
    yield None if is_harmless(marks) else "page: control characters"
    yield None if "<script>alert" not in marks else "page: a script of the run's"


def test_prepared_runs_are_watched_exported_and_drawn_or_refused(
    cli: Cli, cases: list[Case], finished: Path, memory: Path, tally: Tally
) -> None:
    bad = []
    for i, case in enumerate(cases):
        run = shutil.copytree(finished, memory / str(i) / "small")
        (run.parent / CANARY).write_text("mine")
        case.make(run)
        bad += [f"{case.name}: {found}" for found in shown(cli, run) if found]
        if (run.parent / CANARY).read_text() != "mine" or list(memory.rglob("unpickled")):
            bad.append(f"{case.name}: something outside was touched")
        shutil.rmtree(run.parent)
    tally("hostile run folders, drawn", len(cases), len(bad))
    assert not bad, "\n".join(bad[:8])


def test_the_watch_sees_what_is_forbidden(server: Server, finished: Path, tmp_path: Path) -> None:
    """An oracle that sees nothing would pass everything: init writes a file."""
    found = server(tmp_path, "init", "new.yaml")
    assert any(event.startswith("open") for event in found["seen"]), found
