"""Figures as files for papers: SVG, PDF or PNG, made from their definitions without a browser or a network."""

import html
import re
from pathlib import Path
from typing import Any, Literal

from moe_lab.figures.base import Figure
from moe_lab.store.disk import DISK

Format = Literal["svg", "pdf", "png"]
SCALE = 2.0  # pixels of a PNG per pixel of the definition
PAPER = "#ffffff"
FELT = re.compile(r'<path [^>]*(?<!-)opacity="0"[^>]*/>')  # marks that only a pointer finds


def write(figure: Figure, folder: Path, format: Format) -> Path:
    """Its file, in place of an older one of its name. Raises StorageError where that cannot be."""
    path = folder / f"{figure.name}.{format}"
    data = rendered(figure, format)
    DISK.make_folder(folder)
    DISK.replace(path, data)
    return path


def rendered(figure: Figure, format: Format) -> bytes:
    """The bytes of a figure's file."""
    return drawn(figure.spec(), format)


def drawn(definition: dict[str, Any], format: Format) -> bytes:
    """The bytes of a file made of a definition. Raises ValueError if it asks for the network."""
    import vl_convert

    quiet = {
        **definition["config"],
        "aria": False,
    }  # a sentence for every mark would triple the file
    spec = definition | {"background": PAPER, "config": quiet}
    svg = FELT.sub("", vl_convert.vegalite_to_svg(spec, allowed_base_urls=[]))
    match format:
        case "svg":
            return _described(svg, definition["description"]).encode()
        case "pdf":
            return vl_convert.svg_to_pdf(svg)
        case "png":
            return vl_convert.svg_to_png(svg, scale=SCALE)


def _described(svg: str, words: str) -> str:
    """What is drawn, for who cannot see it."""
    opening, rest = svg.split(">", 1)
    return f'{opening} role="img"><title>{html.escape(words)}</title>{rest}'
