"""Writes the parts of the documentation that the code can print; with --check, only says which are stale.

A part stands between `<!-- generated: NAME -->` and `<!-- end -->` in a Markdown file.
"""

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pictures
import scaling
import snippets
import typer

from moe_lab import columns, sweep_columns
from moe_lab.cli import app
from moe_lab.columns import Column
from moe_lab.config import Config, keys
from moe_lab.config.keys import choices, dotted, sections
from moe_lab.registry import BALANCERS, PACKAGE, ROUTERS, Registry
from moe_lab.store import layout

ROOT = Path(__file__).parent.parent
PAGES = (
    "README.md",
    "docs/config.md",
    "docs/doors.md",
    "docs/reliability.md",
    "docs/scaling.md",
    "runs/README.md",
)
TORTURE = ROOT / "docs" / "torture.json"  # what `make torture` tried
FAULTS = {  # that tests/mutants.py seeds under these names
    "M1": "a file is written in its place, not beside it and renamed",
    "M2": "files are not synced",
    "M3": "folders are not synced",
    "M4": "tables are not synced before the checkpoint that counts them",
    "M5": "old checkpoints go before the new one is verified",
    "M6": "a hash is not checked",
    "M7": "rows after the checkpoint are not cut off",
    "M8": "a resumed run writes what is there once more",
    "M9": "randomness does not depend on the step",
    "M10": "the handler of a signal raises",
    "M11": "the lock is taken after the first write",
    "M12": "an error of the disk is swallowed",
    "M13": "the newest checkpoint is told by its time",
    "M14": "a run is begun that another process holds",
}
HEADLINES = {  # of all that was tried, by how the names of its rows begin
    "kill at a write": "kills at a write",
    "error at a write": "failing writes",
    "power loss": "power cuts",
    "bit flips": "flipped bits",
    "signal at a phase": "signals",
    "resume at every step": "steps to resume from",
    "kills through a sweep": "kills through a sweep",
    "invalid configs": "invalid configs",
    "fuzz: ": "random inputs",
}
BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def commands() -> str:
    """Every command with its arguments and its first line of help."""
    return _table(("command", "does"), _commands(typer.main.get_command(app), "moe-lab"))


def _commands(group: Any, path: str) -> Iterator[tuple[str, str]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{path} {name}")
        else:
            words = [p.metavar for p in command.params if p.param_type_name == "argument"]
            yield f"`{' '.join([path, name, *words])}`", command.help or ""


def methods() -> str:
    """Every router and balancer: first sentence, equation and source of its file."""
    rows = [
        (f"`{name}`", registry.kind, *_described(registry, name))
        for registry in (ROUTERS, BALANCERS)
        for name in registry.names()
    ]
    return _table(("name", "kind", "what it is", "equation", "source"), rows)


def _described(registry: Registry, name: str) -> tuple[str, str, str]:
    text = (PACKAGE / registry.folder / f"{name}.py").read_text(encoding="utf-8").split('"""')[1]
    parts = [" ".join(part.split()) for part in text.split("\n\n")]
    source = next(part for part in parts if part.startswith("Source:"))
    equation = re.sub(r"\s{2,}", "; ", text.split("\n\n")[1].strip())
    return parts[0], f"`{equation}`", source.removeprefix("Source: ").split(" Deviations:")[0]


def config_keys() -> str:
    """Every key with default, range and meaning."""
    return _table(("key", "default", "allowed", "meaning"), _keys())


def _keys() -> Iterator[tuple[str, str, str, str]]:
    rows: dict[tuple[str, str, str, str], list[str]] = {}
    for path, choice, model in _models():
        for key, field in model.model_fields.items():
            name = dotted(path, key)
            if name in sections() or name == "data" or (choice and key == "name"):
                continue
            default = "required" if field.is_required() else f"`{_value(field.default)}`"
            allowed = " | ".join(choices()[name]) if name in choices() else _allowed(field)
            row = (name, default, allowed, field.description or "")
            rows.setdefault(row, []).append(choice)
    for (path, *cells), owners in rows.items():
        everywhere = owners == [""] or len(owners) == len(choices()[path.rpartition(".")[0]])
        yield (f"`{path}`" + ("" if everywhere else f" ({', '.join(owners)})"), *cells)


def _models() -> Iterator[tuple[str, str, Any]]:
    """Every section in the order of the config, each of its choices after it."""
    for section in Config.model_fields:
        path = "" if section == next(iter(Config.model_fields)) else section
        if path in sections():
            yield path, "", sections()[path]
        for chosen in (c for c in choices() if c.split(".")[0] == section):
            yield from ((chosen, choice, model) for choice, model in choices()[chosen].items())


def _allowed(field: Any) -> str:
    """The field's range in interval notation, or its choices."""
    bounds = {name: getattr(m, name) for m in field.metadata for name in _bounds(m)}
    if not bounds:
        words = re.findall(r"'([^']*)'", str(field.annotation))
        return " | ".join(words) if "Literal" in str(field.annotation) else ""
    low = f"({bounds['gt']}" if "gt" in bounds else f"[{bounds.get('ge')}"
    return f"{low}, {bounds['le']}]" + (" or null" if "None" in str(field.annotation) else "")


def _bounds(metadata: Any) -> Iterator[str]:
    return (name for name in ("gt", "ge", "le") if hasattr(metadata, name))


def _value(value: Any) -> str:
    return json.dumps(value).strip('"')


def grids() -> str:
    """The values that a sweep tries of a key that is named alone."""
    rows = [(f"`{key}`", " ".join(map(_value, grid))) for key, grid in keys.grids().items()]
    return _table(("key", "default grid"), rows)


def sweep_file() -> str:
    """The sweep file of the repository."""
    return f"```yaml\n{(ROOT / 'configs' / 'sweep.yaml').read_text(encoding='utf-8')}```\n"


def files() -> str:
    """Every table of a run with its columns."""
    tables = columns.tables(n_experts=1, balancers=("<balancer>",), domains=("<domain>", "…"))
    parts = []
    for name, table in tables.items():
        named = (
            c for c in table if "…" not in c.name
        )  # a second domain: else there are no columns by domain
        parts.append(_columns(name, named))
    arrays = [(f"`{c.name}`", c.unit, c.meaning) for c in columns.ARRAYS]
    parts.append(
        f"### {layout.ARRAYS}/step-….npz\n\n" + _table(("array", "shape", "meaning"), arrays)
    )
    return "\n".join(parts).replace("expert_00`", "expert_00` … `expert_NN`")


def sweep_files() -> str:
    """The two tables of a sweep with their columns."""
    swept = ("<key>",)
    tables = {"runs": sweep_columns.runs(swept), "summary": sweep_columns.points(swept, "<loss>")}
    return "\n".join(_columns(name, table) for name, table in tables.items())


def torture() -> str:
    """What `make torture` tried and how much of it went wrong, where and when."""
    found = json.loads(TORTURE.read_text(encoding="utf-8"))
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    rows = [(name, f"{row['tried']:,}", f"{row['bad']:,}") for name, row in found["rows"].items()]
    where = f"{found['system']}, {found['cores']} cores; {versions}"
    return f"{found['date']}, {where}.\n\n" + _table(("what was tried", "times", "bad"), rows)


def torture_summary() -> str:
    """The same in a sentence."""
    found = json.loads(TORTURE.read_text(encoding="utf-8"))
    tried = {
        words: sum(row["tried"] for name, row in found["rows"].items() if name.startswith(start))
        for start, words in HEADLINES.items()
    }
    *most, last = [f"{number:,} {words}" for words, number in tried.items()]
    bad = sum(row["bad"] for row in found["rows"].values())
    return f"`make torture` of {found['date']}: {', '.join(most)} and {last}; {bad or 'none'} went wrong.\n"


def mutants() -> str:
    """The faults of storing and resuming that tests/mutants.py seeds, and the tests that notice each."""
    text = (ROOT / "tests" / "mutants.py").read_text(encoding="utf-8")
    seeded = re.findall(r'Mutant\("([^"]+)".*"([^"]+)"\), *# (M\d+)', text)
    order = list(FAULTS)
    rows = [
        (name, FAULTS[name], f"`{file}`", f"`{tests}`")
        for file, tests, name in sorted(seeded, key=lambda found: order.index(found[2]))
    ]
    return _table(("", "fault", "in", "noticed by"), rows)


def _columns(name: str, table: Iterable[Column]) -> str:
    rows = [(f"`{c.name}`", c.unit, c.better, c.meaning) for c in table]
    return f"### {name}.csv\n\n" + _table(("column", "unit", "better", "meaning"), rows)


def _table(header: Sequence[str], rows: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    escaped = ([str(cell).replace("|", "\\|") for cell in line] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in escaped)


PARTS: dict[str, Callable[[], str]] = {
    "pictures": pictures.markdown,
    "commands": commands,
    "methods": methods,
    "config_keys": config_keys,
    "grids": grids,
    "sweep_file": sweep_file,
    "files": files,
    "sweep_files": sweep_files,
    "torture": torture,
    "torture_summary": torture_summary,
    "mutants": mutants,
    **scaling.TABLES,
}


def main() -> int:
    """Rewrite every page, or with --check report the stale ones (exit 1)."""
    stale = []
    for name in PAGES:
        page = ROOT / name
        old = page.read_text(encoding="utf-8")
        new = BLOCK.sub(lambda m: f"{m[1]}\n{PARTS[m[2]]()}\n{m[3]}", old)
        new = snippets.rendered(new)
        if new != old:
            stale.append(name)
            if "--check" not in sys.argv:
                page.write_text(new, encoding="utf-8")
    stale += [f"docs/pictures/{name}.svg" for name in pictures.stale()]
    if "--check" not in sys.argv:
        pictures.draw()
    elif stale:
        print(f"stale: {', '.join(stale)}; run: make docs", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
