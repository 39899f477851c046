"""What is in a picture: its data, and the marks that Vega makes of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import vl_convert

from moe_lab.figures.base import Drawn, Figure
from moe_lab.figures.subject import Subject
from moe_lab.frames import load_run

ROLE = "mark"  # of what is drawn from data, against axes and legends


def figure(drawn: Drawn) -> Figure:
    """A picture that is there, after Altair's own check of its definition."""
    assert isinstance(drawn, Figure), drawn
    drawn.chart.to_dict()
    return drawn


def data(drawn: Drawn, *fields: str) -> list[dict[str, Any]]:
    """All rows that have these fields, in the order of panels."""
    rows = (row for rows in figure(drawn).spec()["datasets"].values() for row in rows)
    return [row for row in rows if set(fields) <= set(row)]


def marks(drawn: Drawn) -> list[tuple[str, dict[str, Any]]]:
    """Each mark that is drawn from data: its kind and what Vega made of it."""
    scene = vl_convert.vegalite_to_scenegraph(figure(drawn).spec(), allowed_base_urls=[])
    return list(_marks(scene["scenegraph"]))


def visible(drawn: Drawn, kind: str) -> list[dict[str, Any]]:
    """The marks of one kind that are not transparent."""
    return [mark for found, mark in marks(drawn) if found == kind and mark.get("opacity", 1) > 0]


def said(drawn: Drawn) -> list[str]:
    """Words that are drawn from data."""
    return [str(mark["text"]) for mark in visible(drawn, "text")]


def _marks(node: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for item in node.get("items", ()):
        if node.get("role") == ROLE and node["marktype"] != "group":
            yield node["marktype"], item
        yield from _marks(item)


def subject(run: Path, **tables: pd.DataFrame) -> Subject:
    """A run, some of its tables, or what else is known of it, replaced."""
    frames = load_run(run)
    vars(frames).update(tables)  # as if read
    return Subject.of(frames)
