"""Runs that somebody has prepared: a corpus of what a downloaded folder could hold, each made of a good run."""

import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from conftest import edit

from .forging import (
    bound,
    crowded,
    gone,
    huge,
    linked,
    lying_archive,
    many_events,
    npy,
    objects,
    pickled,
)

CANARY = "canary.txt"  # beside the runs; what links lead to
ESCAPES = "\x1b[2J\x1b]0;title\x07"
STRINGS = (
    ESCAPES,
    "\u202egnp.exe",  # right to left
    "\x00\x08\x0c\x7f\x85\x9b31m",  # C0 and C1
    "a\nerror: two\r\nlines\u2028three",
    "[red]x[/red][link=http://x]y[/link][/]:smile:",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "| a | `b` | [c](http://x) | **d** |",
    "=HYPERLINK(1)",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\ud800",  # half of a pair
    "::error::x",
    "x" * 5000,
)


@dataclass(frozen=True)
class Case:
    """What is done to a good run, and a part of what `report` says of it where that is known."""

    name: str
    make: Callable[[Path], object]
    said: str = ""


def corpus(files: list[str]) -> Iterator[Case]:
    """Every case; `files` are the names of a run's own."""
    for name in files:
        yield Case(
            f"{name} leads outside", lambda run, n=name: linked(run / n, run.parent / CANARY)
        )
        yield Case(f"{name} leads to itself", lambda run, n=name: linked(run / n, run / n))
        yield Case(f"{name} is a device", lambda run, n=name: linked(run / n, Path("/dev/zero")))
        yield Case(f"{name} is a pipe", lambda run, n=name: (gone(run / n), os.mkfifo(run / n)))
        yield Case(f"{name} is a pickle", lambda run, n=name: pickled(run / n))
        yield Case(f"{name} is huge", lambda run, n=name: huge(run / n, 10**10))
    yield from folders()
    yield from tables()
    yield from records()
    yield from arrays()
    yield from strings()


def folders() -> Iterator[Case]:
    for name in ("router", "checkpoints"):
        yield Case(f"{name}/ leads outside", lambda run, n=name: linked(run / n, Path("/etc")))
        yield Case(f"{name}/ leads up", lambda run, n=name: linked(run / n, run.parent))
        yield Case(f"{name} is a file", lambda run, n=name: (gone(run / n), (run / n).touch()))
    yield Case("a socket for a table", lambda run: bound(run / "cv.csv"), "is not a plain file")
    yield Case("100,001 arrays", lambda run: crowded(run / "router"))


def tables() -> Iterator[Case]:
    def table(name: str, data: bytes, said: str, size: int = 0) -> Case:
        def make(run: Path) -> None:
            (run / "cv.csv").write_bytes(data)
            if size:
                os.truncate(run / "cv.csv", size)

        return Case(name, make, said)

    yield table("a line of 1 GB", b"", "the limit is 64,000 (table line)", 10**9)
    yield table("a million columns", b"c," * 10**6 + b"c\n", "the limit is 64,000 (table line)")
    yield table("20,000 columns", b"," * 20_000 + b"\n", "the limit is 10,000 (table columns)")
    yield table("other columns", b"a,b\n1,2\n", "has no column step")
    yield table("quotes", b'step,split,layer\n1,"tr\nain",0\n', "byte 0x22 is in no table")
    yield table("formulas", b"step,split,layer\n=1+1,train,0\n", "byte 0x3d is in no table")
    yield table(
        "a row of 1e400", b"step,split,layer,n_eff\n1,train,0,1e400\n", "beyond the largest"
    )
    yield table("many blanks", b"a,b\n" + b",\n" * 5_000_000, "has no column step")


def records() -> Iterator[Case]:
    def record(name: str, text: str, said: str) -> Case:
        return Case(name, lambda run: (run / "run.json").write_text(text), said)

    yield record("deep JSON", '{"a":' * 100_000, "run.json is corrupt")
    yield record("21 levels", '{"schema": 2, "a": ' + "[" * 21 + "]" * 21 + "}", "(JSON depth)")
    yield record("a key twice", '{"schema": 2, "seed": 1, "seed": 2}', "key 'seed' stands twice")
    yield record("NaN", '{"schema": 2, "seed": NaN}', "NaN is not JSON")
    yield record("1e999", '{"schema": 2, "seed": 1e999}', "too large for a number")
    yield record("5,000 digits", '{"schema": 2, "seed": ' + "9" * 5000 + "}", "is corrupt")
    yield record("no seal", '{"schema": 2, "seed": 1}', "its SHA-256 differs")
    yield record("a later schema", '{"schema": 99}', "this moe-lab reads up to")
    yield record("the truth for a schema", '{"schema": true}', "no schema version")
    for key, value in {
        "created": "yesterday",
        "config": {"seed": 1, "moe": {"n_experts": 10**9, "top_k": 1}},
        "data": {"fingerprint": None, "domains": 3, "ladder": []},
        "role": {"reference": "../../x"},
        "steps": "many",
        "seed": 0.5,
        "command": {"rm": "-rf"},
    }.items():
        yield Case(
            f"another {key}", lambda run, k=key, v=value: edit(run / "run.json", **{k: v}), key
        )
    method = {"seed": 1, "moe": {"n_experts": 4, "top_k": 1, "balance": {"name": "../../evil"}}}
    yield Case(
        "code as a method", lambda run: edit(run / "run.json", config=method), "has no balancer"
    )
    for state in ({"state": "splendid"}, {"step": "3"}, {"step": -1}):
        yield Case(
            f"status {state}", lambda run, s=state: edit(run / "status.json", **s), "status.json"
        )
    yield Case(
        "outcomes of text", lambda run: edit(run / "summary.json", outcomes={"gap": "1"}), "gap"
    )
    yield Case("a million events", lambda run: many_events(run / "events.jsonl"))


def arrays() -> Iterator[Case]:
    def archive(name: str, said: str = "router/step-", **members: bytes) -> Case:
        def make(run: Path) -> None:
            for path in sorted((run / "router").iterdir()):
                with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
                    for member, data in members.items():
                        file.writestr(f"{member.replace('__', '.')}.npy", data)

        return Case(name, make, said)

    choices = "layer_0__experts"
    yield archive(
        "unpacks to 50 MB", "(choices of a layer", **{choices: npy(np.zeros(1)) + bytes(50_000_000)}
    )
    yield archive("objects", **{choices: objects()})
    yield archive(
        "a shape of 4 TB", **{choices: npy(np.zeros((1, 1), np.uint8), "(4000000, 1000000)")}
    )
    yield archive("negative shape", **{choices: npy(np.zeros((1, 1), np.uint8), "(-1, 1)")})
    yield archive("code for a shape", **{choices: npy(np.zeros((1, 1), np.uint8), "exit(1)")})
    yield archive("20,000 members", "(arrays)", **{f"a{i}": b"" for i in range(20_000)})
    yield archive(
        "a layer of many digits", "", **{f"layer_{'9' * 30}__experts": npy(np.zeros((2, 1)))}
    )
    yield archive("other dimensions", **{choices: npy(np.zeros(9, np.uint8))})
    yield archive("texts", **{choices: npy(np.array([["a"]]))})
    yield Case("an archive that lies", lying_archive, "router/step-")


def strings() -> Iterator[Case]:
    for i, text in enumerate(STRINGS):
        yield Case(f"strings {i}", lambda run, t=text: full_of(run, t))


def full_of(run: Path, text: str) -> None:
    """A string wherever a run has one that is shown."""
    record = json.loads((run / "run.json").read_text())
    rungs = [{"rung": text, "loss": 1.0, "error": 0.0}]
    data = {**record["data"], "domains": [text], "fingerprint": text, "ladder": rungs}
    config = {**record["config"], "name": text, text[:50]: text, "data": {"path": [text]}}
    changes = {
        "command": [text, text],
        "device": text,
        "git": {"commit": text},
        "host": {text: text},
    }
    edit(run / "run.json", data=data, config=config, id=text, versions={text: text}, **changes)
    edit(run / "status.json", reason=text)
    event = {"time": "x", "kind": text, "reason": text}
    (run / "events.jsonl").write_text(json.dumps(event) + "\n")
    name = text.replace("/", "").replace("\0", "").encode("utf-8", "replace")[:200]
    target = Path(os.fsdecode(os.fsencode(run.parent) + b"/" + name))
    shutil.copytree(run, target)
    (target / "run.json").write_text(text, encoding="utf-8", errors="replace")
