"""Pictures of the README: their definitions are stored with the data in them, and drawn from there.

`python docs/pictures.py runs/sweep-alpha` stores those of a sweep; `make docs` draws what has changed.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "pictures"
SHOWN = (
    "contrast",
    "load-heatmap-collapsed",
    "dose-response",
)  # figures of a sweep, in the order of the README
LARGEST = 300_000  # bytes of a picture


def store(sweep: Path) -> None:
    """Writes the definition of each picture, and where its data are from."""
    from moe_lab.figures import gallery
    from moe_lab.figures.base import Figure
    from moe_lab.sweep_frames import load_sweep

    frames = load_sweep(sweep)
    record = frames.run(frames.plan.runs[0].name).record
    found = {f.name: f for wall in gallery.of_sweep(frames) for f in wall.drawn}
    for name in SHOWN:
        figure = found[name]
        assert isinstance(figure, Figure), figure
        stored = {
            "title": figure.title,
            "reading": figure.reading,
            "command": " ".join(record["command"]),
            "versions": record["versions"],
            "definition": figure.spec(),
        }
        path = FOLDER / f"{name}.json"
        path.write_text(json.dumps(stored, sort_keys=True) + "\n", encoding="utf-8")


def draw() -> None:
    """Writes each picture whose definition is not the one that it was drawn from."""
    from moe_lab.figures import files

    for name in stale():
        svg = files.drawn(_stored(name)["definition"], "svg").decode()
        (FOLDER / f"{name}.svg").write_text(f"{svg}\n{_mark(name)}\n", encoding="utf-8")


def stale() -> list[str]:
    """Pictures that were not drawn from the definition that is stored, or are too large."""
    return [name for name in SHOWN if not _is_drawn(FOLDER / f"{name}.svg", _mark(name))]


def markdown() -> str:
    """The pictures as the README shows them, each with its title and how to read it."""
    parts = []
    for name in SHOWN:
        stored = _stored(name)
        parts.append(
            f"![{stored['title']}](docs/pictures/{name}.svg)\n\n*{stored['title']}.* {stored['reading']}\n"
        )
    return "\n".join(parts)


def _is_drawn(path: Path, mark: str) -> bool:
    if not path.is_file() or path.stat().st_size > LARGEST:
        return False
    return path.read_text(encoding="utf-8").endswith(f"{mark}\n")


def _mark(name: str) -> str:
    """Of the definition, not of the drawing: fonts differ between machines."""
    definition = json.dumps(_stored(name)["definition"], sort_keys=True).encode()
    return f"<!-- drawn from {name}.json, {hashlib.sha256(definition).hexdigest()} -->"


def _stored(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    store(Path(sys.argv[1]))
    draw()
