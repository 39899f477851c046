"""The commands that the documentation shows, the sweep file that it quotes, and the torture that it reports."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from moe_lab.cli import app
from moe_lab.sweep.grid import Grid, plan

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = sorted(
    {
        line
        for page in PAGES
        for block in BLOCK.findall(page.read_text(encoding="utf-8"))
        for line in block.splitlines()
        if line.startswith("moe-lab ")
    }
)
SWEEPS = [line for line in COMMANDS if line.startswith("moe-lab sweep ")]
FUZZED = ("config", "overrides", "sweep axes", "table", "JSON", "events", "checkpoint", "arrays")
LEAST = {  # of what `make torture` must have tried, by row
    "kill at a write, store alone": 700,
    "kill at a write, training": 100,
    "error at a write (ENOSPC, EIO, …)": 500,
    "power loss": 500,
    "bit flips": 600,
    "truncations, every length": 1000,
    "other damage": 50,
    "signal at a phase": 30,
    "resume at every step": 30,
    "chains of cuts": 5,
    "stateful sequences": 50,
    "kills through a sweep": 50,
    "invalid configs": 200,
    "invalid command lines": 30,
    "hostile run folders": 20,
    **{f"fuzz: {reader}": 100_000 for reader in (*FUZZED, "names and markup", "gate rules")},
}
ASKED = ("config", "seeds", "name", "rule", "max_runs")


def parsed(line: str) -> dict[str, Any]:
    """The arguments of a command by name; options that there are not, or wrong values, raise."""
    _, *words = shlex.split(line, comments=True)
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        name, *words = words
        command = command.commands[name]
    given: dict[str, Any] = command.make_context(name, words).params
    return given


def planned(line: str) -> Grid:
    given = parsed(line)
    return plan(given["axes"], **{name: given[name] for name in ASKED})


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_documentation_is_one(line: str):
    assert parsed(line)


@pytest.mark.parametrize("line", SWEEPS)
def test_every_sweep_of_the_documentation_can_start(line: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    assert planned(line).plan.runs


def test_sweeps_of_the_documentation_are_what_it_says(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    said = {line.split(" #")[0].strip(): line for line in SWEEPS}
    found = {short: planned(line).plan for short, line in said.items()}
    assert len(found["moe-lab sweep alpha"].runs) == 5 * 3
    five = found["moe-lab sweep alpha=0,0.01,0.1 top_k=1,2 --seeds 5"]
    assert (len(five.points), five.seeds) == (3 * 2, (0, 1, 2, 3, 4))
    fine = [p.settings["moe.alpha"] for p in found["moe-lab sweep alpha=0,log:1e-4:1:9"].points]
    assert (len(fine), fine[:2], fine[-1]) == (10, [0.0, 1e-4], 1.0)
    counts = found["moe-lab sweep n_experts=range:4:17:4"].points
    assert [point.settings["moe.n_experts"] for point in counts] == [4, 8, 12, 16]
    pairs = found["moe-lab sweep n_experts:top_k=8:1,16:2"].points
    assert [tuple(point.settings.values()) for point in pairs] == [(8, 1), (16, 2)]


def test_the_sweep_file_of_the_repository_leaves_out_what_it_excludes():
    grid = plan([str(ROOT / "configs" / "sweep.yaml")])
    settings = [tuple(point.settings.values()) for point in grid.plan.points]
    assert (grid.name, grid.base.config.name, grid.plan.seeds) == ("capacity", "collapse", (0, 1))
    assert grid.plan.keys == ("moe.alpha", "moe.capacity_factor", "moe.n_experts", "moe.top_k")
    assert settings == [
        (alpha, factor, *pair)
        for alpha in (0, 0.01, 0.1)
        for factor in (None, 1.25)
        for pair in ((8, 1), (16, 2))
        if (alpha, pair) != (0.1, (16, 2))
    ]
    assert {config.train.steps for config in grid.configs} == {300}
    assert grid.warnings == ()


def test_the_reported_torture_was_whole_and_nothing_went_wrong():
    found = json.loads((ROOT / "docs" / "torture.json").read_text(encoding="utf-8"))["rows"]
    assert found.keys() >= LEAST.keys(), "run: make torture"
    assert {name: row["bad"] for name, row in found.items() if row["bad"]} == {}
    assert [name for name, least in LEAST.items() if found[name]["tried"] < least] == []


def test_every_fault_of_the_store_is_seeded():
    text = (ROOT / "tests" / "mutants.py").read_text(encoding="utf-8")
    seeded = set(re.findall(r"\), *# (M\d+)$", text, re.MULTILINE))
    assert seeded == {f"M{number}" for number in range(1, 15)}
