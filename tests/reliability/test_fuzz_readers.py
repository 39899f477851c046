"""Any bytes for what reads the files of a run: a value or a named error, nothing else; and no guess.

Valid files are damaged, and Hypothesis makes up its own. MOE_LAB_TORTURE tries a hundred thousand per reader.
"""

import io
import json
import random
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from moe_lab.errors import MoeLabError
from moe_lab.store import layout
from moe_lab.store.disk import DISK, json_bytes

from . import workload
from .conftest import Tally, scale
from .mutations import damaged
from .reading import (
    FROZEN,
    UNALTERED,
    altered_run,
    arrays,
    checkpoint,
    events,
    json_file,
    names,
    run_folder,
    table,
    tensors,
)

MUTANTS = 40  # of each input that Hypothesis makes
EXAMPLES = scale(12, 2_600)  # of Hypothesis


@dataclass
class Fuzzed:
    """What was tried, and what came of it that is neither a value nor a named error."""

    folder: Path
    draw: random.Random = field(default_factory=lambda: random.Random(0))
    tried: int = 0
    bad: list[str] = field(default_factory=list)

    def attempt(self, read: Callable[[Path, bytes], None], data: bytes) -> None:
        self.tried += 1
        try:
            read(self.folder, data)
        except MoeLabError as error:
            error.render()
        except Exception as error:
            self.bad.append(f"{data[:300]!r}: {error!r}")


@pytest.fixture
def folder(memory: Path) -> Path:
    """A run that stands at its first checkpoint, and room for single files."""
    with workload.begin(memory, DISK) as run:
        run.commit(workload.state_at(2, workload.START), keep=1)
    (memory / layout.ARRAYS).mkdir()
    for name in (layout.STATUS, layout.SUMMARY):
        shutil.copy(FROZEN / name, memory)
    return memory


def corner(path: Path, rows: int = 4, columns: int = 8) -> bytes:
    """The first columns of a table's first rows."""
    lines = path.read_bytes().splitlines()[:rows]
    return b"".join(b",".join(line.split(b",")[:columns]) + b"\n" for line in lines)


def seeds(folder: Path) -> Mapping[str, list[tuple[Callable[[Path, bytes], None], bytes]]]:
    """Valid inputs of each reader, by the row of the table."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{"layer_0.experts": np.zeros((9, 1), np.uint8), "x": np.ones(3)})
    record = json.loads((FROZEN / "run.json").read_text())
    step = layout.checkpoint(folder / workload.NAME, 2)
    parts = (layout.MODEL, layout.OPTIMIZER, layout.STATE, layout.COMMIT)
    return {
        "table": [
            (table, corner(FROZEN / f"{name}.csv")) for name in ("cv", "eval", "utilization")
        ],
        "JSON": [
            (json_file, (FROZEN / "summary.json").read_bytes()),
            (json_file, json_bytes(record)),
            (run_folder, json_bytes({**record, "command": []})),
            (altered_run, UNALTERED),
            (json_file, (FROZEN / "status.json").read_bytes()),
        ],
        "events": [(events, (FROZEN / layout.EVENTS).read_bytes())],
        "checkpoint": [
            *((partial(checkpoint, name=name), (step / name).read_bytes()) for name in parts),
            (tensors, (step / layout.MODEL).read_bytes()),
        ],
        "arrays": [(arrays, buffer.getvalue())],
        "names and markup": [
            (names, text.encode("utf-8"))
            for text in (
                "| a_b | `x` **c** [d](http://e) <b> $f$ ~g~",
                "=1+1",
                "run-3",
                "\u202ea\x1b[0m",
            )
        ],
    }


ROWS = ("table", "JSON", "events", "checkpoint", "arrays", "names and markup")


@pytest.mark.parametrize("row", ROWS)
def test_any_bytes_are_read_or_refused(row: str, folder: Path, tally: Tally) -> None:
    valid, fuzzed = seeds(folder)[row], Fuzzed(folder)
    for read, data in valid:
        read(folder, data)  # as it is, it is no error

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        phases=(Phase.generate,),
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.binary(max_size=60))
    def fuzz(made_up: bytes) -> None:
        fuzzed.attempt(fuzzed.draw.choice(valid)[0], made_up)
        for _ in range(MUTANTS - 1):
            read, data = fuzzed.draw.choice(valid)
            fuzzed.attempt(read, damaged(data, fuzzed.draw))

    fuzz()
    tally(f"fuzz: {row}", fuzzed.tried, len(fuzzed.bad))
    assert not fuzzed.bad, fuzzed.bad[:3]
