"""The tables of scaling.md: from formulas, and from what `make scale` has measured."""

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import log10
from pathlib import Path
from typing import Any

from footprint import CELL, Written, cells, checkpoint, parameters

from moe_lab.config import Config, load

MEASURED = Path(__file__).with_name("scale.json")
BEYOND = 100_000  # runs that nobody measured
DISK, HASH = 1e9, 1e9  # bytes per second, as assumed in the table of models
PARTS = {  # of a sweep, by their names in scale.json
    "plan": "plan, and begin",
    "plan, one seed": "– where every run is a point",
    "stock, empty": "take stock, no run begun",
    "stock": "take stock, all finished",
    "drive": "drive",
    "drive, fenced": "drive, attempts numbered",
    "report": "`report`",
    "report --json": "`report --json`",
    "report --html": "`report --html`",
    "export --to csv-long": "`export --to csv-long`",
    "watch --once": "`watch --once`",
    "ls": "`ls`",
}
KINDS = {"open": "opened", "look": "looked at", "list": "listed", "change": "changed"} | {
    name: name for name in ("fsync", "flock")
}
MODELS = {  # settings of models for a node, with a vocabulary of VOCABULARY
    "packaged": [],
    "1 B": ["n_layers=16", "d_model=1024", "n_heads=16", "d_expert=512", "n_experts=32"],
    "7 B": ["n_layers=16", "d_model=2048", "n_heads=16", "d_expert=1024", "n_experts=64"],
    "47 B": ["n_layers=32", "d_model=4096", "n_heads=32", "d_expert=14336", "n_experts=8"],
}
WIDE = ["activation=swiglu", "top_k=2", "seq_len=2048", "batch_size=8"]
VOCABULARY = 50_304


def run() -> str:
    """What one run writes, by its settings: the packaged config, and others beside it."""
    settings = {
        "packaged": [],
        "4,000 steps": ["steps=4000"],
        "12 layers": ["n_layers=12"],
        "64 experts": ["n_experts=64"],
        "`checkpoint.keep=1 log.every=10`": ["keep=1", "log.every=10"],
    }
    rows = [
        (name, *_run(load(None, ["name=x", *asked]).config)) for name, asked in settings.items()
    ]
    return _table(
        ("", "tables, MB", "checkpoints, MB", "files", "folders", "syncs", "renames"), rows
    )


def _run(config: Config) -> Iterator[str]:
    written = Written.of(config)
    yield f"{CELL * cells(config, 8) / 1e6:.1f}"
    yield f"{written.kept * checkpoint(config, 256) / 1e6:.1f}"
    for number in (written.files, written.folders, written.syncs, written.renames):
        yield f"{number:,}"


def found() -> dict[str, Any]:
    """What `make scale` has written."""
    read: dict[str, Any] = json.loads(MEASURED.read_text(encoding="utf-8"))
    return read


def sweep() -> str:
    """Files and bytes of sweeps of runs such as the one that was measured, and of their plans."""
    run = found()["run"]
    size, records = sum(run["bytes"].values()), [1_000, 10_000, BEYOND]
    rows = [
        ("files of runs", *(f"{n * run['files']:,}" for n in records)),
        ("folders of runs", *(f"{n * run['folders']:,}" for n in records)),
        ("bytes of runs", *(_bytes(n * size) for n in records)),
        *(
            (f"– {part}", *(_bytes(n * number) for n in records))
            for part, number in run["bytes"].items()
        ),
        ("syncs of runs", *(f"{n * run['calls']['sync']:,}" for n in records)),
        ("renames of runs", *(f"{n * run['calls']['rename']:,}" for n in records)),
        ("files of attempts, where they are numbered", *(f"{n:,}" for n in records)),
    ]
    return _table(("", *(f"{n:,} runs" for n in records)), rows)


def parts() -> str:
    """CPU time and memory of each part of a sweep's life, with the exponent of their growth."""
    sizes = {int(runs): measured for runs, measured in found()["sizes"].items()}
    header = (
        "CPU s (peak MB)",
        *(f"{runs:,} runs" for runs in sizes),
        "exponent",
        f"{BEYOND:,} runs",
    )
    rows = [
        (words, *(_cost(sizes[runs].get(part)) for runs in sizes), *_beyond(part, sizes))
        for part, words in PARTS.items()
    ]
    return _where() + _table(header, rows)


def _beyond(part: str, sizes: dict[int, Any]) -> tuple[str, str]:
    """The exponent p of a + b n^p through three sizes, each ten times the one before; the line through the last two."""
    known = [(runs, sizes[runs][part]) for runs in sizes if part in sizes[runs]]
    (few, low), (many, high) = known[-2:]
    line = {k: high[k] + (high[k] - low[k]) / (many - few) * (BEYOND - many) for k in low}
    if len(known) < 3:
        return "–", _cost(line)
    rises = [later["cpu_s"] - before["cpu_s"] for (_, before), (_, later) in pairwise(known)]
    return f"{log10(rises[1] / rises[0]):.2f}" if min(rises) > 0.1 else "–", _cost(line)


def calls() -> str:
    """Calls to the file system of each part, per run of the sweep."""
    counted = found()["calls"]
    rows = [
        (PARTS[part], *(f"{counted[part].get(kind, 0):g}" for kind in KINDS))
        for part in PARTS
        if part in counted
    ]
    return _table(("per run of the sweep", *KINDS.values()), rows)


def models() -> str:
    """Models on paper: what a run of them holds and writes."""
    rows = [(name, *_model(asked)) for name, asked in MODELS.items()]
    header = (
        "model",
        "parameters (active)",
        "a rank's memory",
        "checkpoint",
        "`keep: 2` on disk",
        "to commit",
        "logits of a step",
    )
    return _table(header, rows)


def _model(asked: Sequence[str]) -> Iterator[str]:
    config = load(None, ["name=x", *asked, *(WIDE if asked else [])]).config
    vocabulary = VOCABULARY if asked else 256
    total, active = parameters(config, vocabulary)
    size = checkpoint(config, vocabulary)
    yield f"{_count(total)} ({_count(active)})"
    yield _bytes(16 * total)
    yield _bytes(size)
    yield _bytes((config.checkpoint.keep + 1) * size)
    yield _duration(size * (2 / HASH + 2 / DISK))
    yield _bytes(4 * config.train.batch_size * config.data.seq_len * vocabulary)


def _where() -> str:
    """The machine and the versions."""
    here = found()
    versions = ", ".join(f"{name} {number}" for name, number in here["versions"].items())
    return f"{here['date']}, {here['system']}, {here['cores']} cores; {versions}.\n\n"


def _cost(measured: dict[str, float] | None) -> str:
    return "–" if measured is None else f"{measured['cpu_s']:,.1f} ({measured['peak_mb']:,.0f})"


def _duration(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"


def _bytes(number: float) -> str:
    unit, name = next(
        (u, n) for u, n in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1, "B")) if number >= u
    )
    return f"{number / unit:,.1f} {name}"


def _count(number: float) -> str:
    unit, name = next((u, n) for u, n in ((1e9, "B"), (1e6, "M"), (1e3, "k")) if number >= u)
    return f"{number / unit:,.1f} {name}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


TABLES = {
    "scaling_run": run,
    "scaling_sweep": sweep,
    "scaling_parts": parts,
    "scaling_calls": calls,
    "scaling_models": models,
}
