"""What is fuzzed: everything that reads a file of a run, with what must hold for what it reads."""

import csv
import hashlib
import io
import json
import math
import random
import unicodedata
from pathlib import Path

import safetensors.numpy

from moe_lab import escape
from moe_lab.errors import ArtefactError
from moe_lab.report import pages, render, tidy
from moe_lab.report.outcomes import glances
from moe_lab.report.pages import Sheet
from moe_lab.report.runs import open_run
from moe_lab.store import files, layout, records
from moe_lab.store.arrays import read_arrays
from moe_lab.store.commit import newest_commit
from moe_lab.store.disk import json_bytes
from moe_lab.store.events import read_events
from moe_lab.store.seal import sealed
from moe_lab.store.table_reading import last_numbers, read_table
from moe_lab.store.tensors import read_shapes

from . import workload
from .mutations import alter

FROZEN = Path(__file__).parent / "frozen" / "schema-1" / "finished"
UNALTERED = bytes(8)


def table(folder: Path, data: bytes) -> None:
    """Every number is what Python makes of its cell."""
    path = folder / "cv.csv"
    path.write_bytes(data)
    try:
        last_numbers(path, ["cv", "n_eff"])
    finally:
        frame = read_table(path)
    lines = data.decode("latin-1").split("\n")
    if len(frame):
        cells = zip(lines[0].split(","), lines[len(frame)].split(","), frame.iloc[-1], strict=True)
        for name, cell, read in cells:
            assert read == cell if name == "split" else same(float(read), cell), (name, cell, read)


def same(read: float, cell: str) -> bool:
    written = float(cell or "nan")
    return read == written or (math.isnan(read) and math.isnan(written))


def json_file(folder: Path, data: bytes) -> None:
    """What is read is one thing with one meaning: it reads back as it is."""
    path = folder / "run.json"
    path.write_bytes(data)
    value = files.read_json(path)
    assert files.parse_json(json_bytes(value), path) == value
    for kind in (records.Record, records.Summary, records.Status, records.Sweep):
        try:
            records.check(kind, value, path)
        except ArtefactError:
            continue


def run_folder(folder: Path, data: bytes) -> None:
    """The same as a run's record, which has to be read through its seal."""
    (folder / "run.json").write_bytes(data)
    assert open_run(folder).config["moe"]["top_k"] >= 1


def altered_run(folder: Path, data: bytes) -> None:
    """A finished run with other values in run.json or summary.json, as far as runs are compared by them."""
    draw = random.Random(data)
    for name in (layout.RECORD, layout.SUMMARY):
        value = json.loads((FROZEN / name).read_bytes())
        for _ in range(draw.choice((0, 1, 1, 2)) if data != UNALTERED else 0):
            alter(value, draw)
        (folder / name).write_bytes(json_bytes(value))
    found = glances([folder, folder])
    render.markdown(pages.several(found))
    render.markdown(pages.several(found * 4))


def events(folder: Path, data: bytes) -> None:
    (folder / layout.EVENTS).write_bytes(data)
    for event in read_events(folder):
        assert isinstance(event, dict)


def arrays(folder: Path, data: bytes) -> None:
    layout.arrays(folder, 1).write_bytes(data)
    for array in read_arrays(folder, 1).values():
        assert array.nbytes <= 2**20
        assert array.dtype.kind in "biuf"


def tensors(folder: Path, data: bytes) -> None:
    """What passes the check has the shapes and the bytes that it says, and the library reads it."""
    shapes = read_shapes(data, folder / layout.MODEL)
    found = safetensors.numpy.load(data)
    assert {name: array.shape for name, array in found.items()} == {
        name: shape for name, (_, shape) in shapes.items()
    }


def checkpoint(folder: Path, data: bytes, name: str) -> None:
    """One file of a checkpoint, under a seal: whoever prepared it could make that, too."""
    run = folder / workload.NAME
    step = layout.checkpoint(run, 2)
    kept = (step / name).read_bytes(), (step / layout.COMMIT).read_bytes()
    try:
        (step / name).write_bytes(data)
        reseal(step, data, name)
        newest_commit(run)
    finally:
        (step / name).write_bytes(kept[0])
        (step / layout.COMMIT).write_bytes(kept[1])


def reseal(step: Path, data: bytes, name: str) -> None:
    try:
        commit = json.loads((step / layout.COMMIT).read_bytes())
        commit.pop("sha256", None)
        if name != layout.COMMIT:
            commit["files"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        (step / layout.COMMIT).write_bytes(json_bytes(sealed(commit)))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return  # it is no record any more


def names(folder: Path, data: bytes) -> None:
    """Whatever a name is: a line of visible characters, one cell of Markdown, one of a CSV that computes nothing."""
    text = data.decode("utf-8", "surrogateescape")
    assert is_visible(escape.line(text))
    assert all(map(is_visible, escape.lines(text).split("\n")))
    (shown,) = markdown_cells(render.markdown([Sheet((text,), ((text,),))]).splitlines()[2])
    assert shown == escape.line(text).strip()
    (row,) = csv.reader(
        io.StringIO(tidy.table([], [[text, "end"]]).removeprefix("\r\n"), newline="")
    )
    assert row[1] == "end"
    assert row[0] == escape.lines(text) or row[0].startswith("'")
    assert not row[0].startswith(escape.FORMULA)


def is_visible(line: str) -> bool:
    return not any(
        unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for c in line
    )


def markdown_cells(line: str) -> list[str]:
    """The cells of a table's row as GitHub reads it: a bar ends one unless a backslash stands before it."""
    found, escaped = [""], False
    for c in line.removeprefix("| ").removesuffix(" |"):
        if escaped:
            found[-1] += c
        elif c == "|":
            found.append("")
        elif c in "<>[]`*~&#$":
            raise AssertionError(f"markup: {line}")
        elif c != "\\":
            found[-1] += c
        escaped = c == "\\" and not escaped
    return found
