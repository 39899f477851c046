"""A run is reported while it is written: whatever part of a row is there, only whole rows count."""

import random
import shutil
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest
from conftest import edit

from moe_lab.report.summary import summarize
from moe_lab.store import layout

from .conftest import scale


def pieces(run: Path) -> Iterator[tuple[Path, bytes]]:
    """Every row of every table, step by step as a loop writes them, torn at random."""
    rows = [
        (int(line.split(b",")[0]), path, line)
        for path in sorted(run.glob("*.csv"))
        for line in path.read_bytes().splitlines(keepends=True)[1:]
    ]
    draw = random.Random(0)
    for _, step in groupby(sorted(rows, key=lambda row: row[0]), key=lambda row: row[0]):
        for _, path, line in step:
            at = draw.randint(0, len(line))
            yield path, line[:at]
            yield path, line[at:]


@pytest.fixture
def begun(finished: Path, memory: Path) -> Path:
    """A run of which no row is written yet."""
    run = Path(shutil.copytree(finished, memory / "runs" / "small"))
    (run / layout.SUMMARY).unlink()
    edit(run / layout.STATUS, state="running", step=0)
    shutil.rmtree(run / layout.ARRAYS)
    for path in run.glob("*.csv"):
        header = path.read_bytes().splitlines(keepends=True)[0]
        path.write_bytes(header)
    return run


def test_a_report_at_any_moment_of_the_writing_reads_whole_rows(
    begun: Path, finished: Path
) -> None:
    written, steps = list(pieces(finished)), []
    every = max(1, len(written) // scale(10, 300))
    for i, (path, data) in enumerate(written):
        with (begun / path.name).open("ab") as file:
            file.write(data)
        if i % every == 0:
            steps.append(summarize(begun)["step"])
    assert steps == sorted(steps)
    assert summarize(begun)["step"] == 10
    assert (begun / "cv.csv").read_bytes() == (finished / "cv.csv").read_bytes()
