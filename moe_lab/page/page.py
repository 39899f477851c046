"""All that a page says, and the one file of HTML that it becomes."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from moe_lab import __version__, escape
from moe_lab.figures import style
from moe_lab.figures.base import Figure
from moe_lab.figures.gallery import Wall
from moe_lab.page import definitions
from moe_lab.page.definitions import Group
from moe_lab.page.tables import Table
from moe_lab.page.troubles import Trouble
from moe_lab.page.verdicts import Badge

HERE = Path(__file__).parent
POLICY = (  # no outside source of anything; Vega makes functions of its expressions
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
NEUTRAL = {"ink": style.INK, "muted": style.MUTED, "grid": style.GRID}  # replaced in the dark


@dataclass(frozen=True)
class Command:
    """What to type, and what it does."""

    does: str
    text: str


@dataclass(frozen=True)
class Page:
    """What is said, in its order; an empty part is left out."""

    title: str
    badges: tuple[Badge, ...]
    state: str
    facts: tuple[tuple[str, str], ...]  # name, value
    verdict: tuple[str, ...]  # sentences
    evidence: tuple[str, tuple[str, ...]]  # more of them, under a title
    key: Table | None
    notes: tuple[str, ...]  # how to read the key table
    runs: Table | None
    walls: tuple[Wall, ...]
    settings: tuple[Table, ...]
    everything: tuple[Table, ...]  # all settings
    numbers: tuple[Table, ...]
    troubles: tuple[Trouble, ...]
    definitions: tuple[Group, ...]
    commands: tuple[Command, ...]  # the first is what was typed

    def html(self, vega: str) -> str:
        """The whole file; `vega` is the script that draws."""
        filled = (
            _environment()
            .get_template("page.html.j2")
            .render(
                page=self,
                version=__version__,
                policy=POLICY,
                neutral=NEUTRAL,
                verdicts=style.VERDICTS,
                letters=definitions.LETTERS,
                formulas=definitions.FORMULAS,
                css=_own("page.css"),
                scripts=[Markup(vega), _own("page.js")],  # noqa: S704 - the package's own text
            )
        )
        return filled.lstrip()  # the macros stand before the first line


def _environment() -> Environment:
    """Templates in which nothing that is filled in is markup, and no character is invisible."""
    made = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    made.filters["data"] = data
    made.tests["drawn"] = lambda drawn: isinstance(drawn, Figure)
    return made


def _visible(value: Any) -> Any:
    return escape.lines(value) if type(value) is str else value


def _own(name: str) -> Markup:
    return Markup((HERE / name).read_text(encoding="utf-8"))  # noqa: S704 - the package's own text


def data(value: Any) -> Markup:
    """JSON for `<script type="application/json">`: nothing in it ends the script or is no ASCII."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - just escaped
