"""`make scale`: what sweeps of up to 10,000 runs take of everything but training, as JSON for docs/scaling.md."""

import argparse
import importlib.metadata
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from processes import Usage, measure

PARTS = (sys.executable, Path(__file__).with_name("scale_parts.py"))
PROGRAM = Path(sys.executable).with_name("moe-lab")
SIZES = {100: (10, 10), 1_000: (50, 20), 10_000: (100, 100)}  # runs: points x seeds
QUICK = {200: (20, 10)}
COUNTED = (100, 200)  # runs of two sweeps: calls per run are the difference
DEAR = 1_000  # runs of a sweep whose tables are all read, at most: that takes a tenth of a second for each
PACKAGES = ("torch", "numpy", "pandas")


def main() -> None:
    """Measures and writes; with --quick sweeps of at most 200 runs: whether it works, not how much it takes."""
    parser = argparse.ArgumentParser(prog="make scale", description=main.__doc__)
    parser.add_argument("target", type=Path, help="a JSON file")
    parser.add_argument("--quick", action="store_true", help="means little")
    asked = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory(prefix="moe-lab-scale-") as folder:
        found = _found(Path(folder), quick=asked.quick)
    asked.target.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _found(folder: Path, *, quick: bool) -> dict[str, Any]:
    steps = 20 if quick else 400
    trained = {"steps": steps, "calls": _said(_part("train", folder, steps))}
    run, grids = folder / "trained", QUICK if quick else SIZES
    sizes = {
        runs: dict(_measured(folder / str(runs), run, grid, steps, dear=not quick and runs <= DEAR))
        for runs, grid in grids.items()
    }
    few, many = (10, 20) if quick else COUNTED
    fewer, more = (_counted(folder / f"counted-{runs}", run, runs, steps) for runs in (few, many))
    return {
        **_here(),
        "run": {**trained, **_contents(run)},
        "sizes": {str(runs): parts for runs, parts in sizes.items()},
        "calls": {part: _per_run(fewer[part], more[part], many - few) for part in more},
    }


def _part(*arguments: object) -> Usage:
    return measure([*PARTS, *map(str, arguments)])


def _said(used: Usage) -> dict[str, Any]:
    """The last line of a part's output."""
    found: dict[str, Any] = json.loads(used.output.splitlines()[-1])
    return found


def _measured(
    folder: Path, run: Path, grid: tuple[int, int], steps: int, *, dear: bool
) -> Iterator[tuple[str, Any]]:
    """Every part of a sweep's life, in the order of that, each in a process of its own."""
    sweep = folder / "scale"
    yield "plan", _of_part("plan", folder, *grid, steps)
    yield "plan, one seed", _of_part("plan", folder / "wide", grid[0] * grid[1], 1, steps)
    yield "plan_bytes", (sweep / "sweep.json").stat().st_size
    yield "stock, empty", _of_part("stock", sweep)
    yield "drive", _of_part("drive", sweep, run, "")
    yield "stock", _of_part("stock", sweep)
    for name, arguments in _commands(sweep, dear=dear).items():
        yield name, _cost(measure([PROGRAM, *arguments]))
    if dear:
        _part("plan", folder / "fenced", *grid, steps)
        yield "drive, fenced", _of_part("drive", folder / "fenced" / "scale", run, "fenced")


def _commands(sweep: Path, *, dear: bool) -> dict[str, list[str | Path]]:
    usual: dict[str, list[str | Path]] = {
        "report": ["report", sweep],
        "report --json": ["report", sweep, "--json"],
        "watch --once": ["watch", sweep, "--once"],
        "ls": ["ls", "--runs-dir", sweep.parent],
    }
    tables: dict[str, list[str | Path]] = {
        "report --html": ["report", sweep, "--html", sweep.parent / "page.html"],
        "export --to csv-long": [
            "export",
            sweep,
            "--to",
            "csv-long",
            "--out",
            sweep.parent / "long",
        ],
    }
    return usual | (tables if dear else {})


def _of_part(*arguments: object) -> dict[str, float]:
    """Without the time in which a driver's launcher made its runs."""
    used = _part(*arguments)
    return _cost(replace(used, cpu_s=used.cpu_s - _said(used).get("stubs_s", 0.0)))


def _cost(used: Usage) -> dict[str, float]:
    found = {"cpu_s": used.cpu_s, "wall_s": used.wall_s, "peak_mb": used.peak_mb}
    return {name: round(value, 3) for name, value in found.items()}


def _counted(folder: Path, run: Path, runs: int, steps: int) -> dict[str, dict[str, int]]:
    """The calls about files of every part of a sweep of so many runs."""
    for each in (folder, folder / "fenced"):
        _part("plan", each, runs // 5, 5, steps)
    sweep, fenced = folder / "scale", folder / "fenced" / "scale"
    parts: dict[str, Sequence[object]] = {
        "drive": ("drive", sweep, run, ""),
        "drive, fenced": ("drive", fenced, run, "fenced"),
        "stock": ("stock", sweep),
        **_commands(sweep, dear=False),
    }
    return {part: _said(_part("count", *arguments)) for part, arguments in parts.items()}


def _per_run(fewer: dict[str, int], more: dict[str, int], runs: int) -> dict[str, float]:
    return {kind: (number - fewer.get(kind, 0)) / runs for kind, number in more.items()}


def _contents(run: Path) -> dict[str, Any]:
    """How many files and folders a run has, and the bytes of each part of it."""
    paths = [path for path in run.rglob("*") if path.is_file()]
    sizes = {"tables": 0, "arrays": 0, "checkpoints": 0, "records": 0}
    for path in paths:
        place = path.relative_to(run).parts[0]
        kinds = {"router": "arrays", "checkpoints": "checkpoints"}
        kind = "tables" if path.suffix == ".csv" else kinds.get(place, "records")
        sizes[kind] += path.stat().st_size
    folders = 1 + sum(path.is_dir() for path in run.rglob("*"))
    return {"files": len(paths), "folders": folders, "bytes": sizes}


def _here() -> dict[str, Any]:
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "versions": {"python": platform.python_version(), **versions},
    }


if __name__ == "__main__":
    main()
