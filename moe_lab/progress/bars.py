"""Expert loads as bars of characters, 1.0 being the fair share; every meaning is also a word or a number."""

from collections.abc import Iterator, Mapping, Sequence
from math import isnan

import numpy as np
from rich.text import Text

from moe_lab.metrics import Load
from moe_lab.progress.facts import Deaths, Layer, Step

# Nothing, then up to a quarter of the fair share, to a half, …, and over 7/4 of it.
BLOCKS, ASCII = "·▁▂▃▄▅▆▇█", ".:-=+*#%@"
NUMBERS = ("cv", "max", "n_eff", "dead", "drop")
LEFT_OUT = ("drop", "max", "dead", "cv")  # where there is no room for all numbers, in this order
NUMBER, VERDICT = 7, 11  # characters of a number, and of a verdict with the space before it
ONE_BY_ONE = 16  # experts; more are sorted by load and put into as many bins
MANY_EXPERTS, MANY_LAYERS, SHOWN = 64, 12, 8  # beyond either, only the worst layers are shown
STYLES = {"collapsed": "bold red", "skewed": "yellow"}


def table(
    result: Step, verdicts: Mapping[int, str], *, width: int, height: int, glyphs: str
) -> Iterator[Text]:
    """A line per MoE layer, the worst first if not all are shown; nothing for a model without experts.

    In at most `height` lines of `width`, but at least the worst layer's.
    """
    if not result.layers:
        return
    layers = shown_layers(result.layers, height)
    indent = max(len(f"L{layer}") for layer in layers) + 2
    n_bars = min(ONE_BY_ONE, max(len(result.layers[layer].load) for layer in layers))
    numbers = _fitting_numbers(width - indent - VERDICT - n_bars)
    room = width - indent - VERDICT - NUMBER * len(numbers)
    drawn = {layer: bars(result.layers[layer].load, glyphs, room) for layer in layers}
    title = _title(glyphs, room)
    wide = max(map(len, [title, *drawn.values()]))
    yield _line("", indent, title, wide, numbers)
    for layer in layers:
        cells = _cells(result.layers[layer], result.deaths.get(layer))
        line = _line(f"L{layer}", indent, drawn[layer], wide, [cells[name] for name in numbers])
        verdict = verdicts[layer]
        yield line.append(f"  {verdict}", STYLES.get(verdict))
    if hidden := len(result.layers) - len(layers):
        kind = "layer" if hidden == 1 else "layers"
        text = f"{hidden} more {kind} not shown, none with a lower n_eff"
        yield Text(text, no_wrap=True, overflow="crop")


def shown_layers(layers: Mapping[int, Layer], height: int) -> list[int]:
    """The layers that a table of `height` lines shows: all, in their order, or the worst ones, the worst first."""
    experts = max(len(reading.load) for reading in layers.values())
    few = len(layers) <= MANY_LAYERS and experts <= MANY_EXPERTS
    most = len(layers) if few else SHOWN
    if len(layers) <= min(most, height - 1):  # the title takes a line
        return list(layers)
    by_n_eff = sorted(layers, key=lambda layer: layers[layer].n_eff)
    return by_n_eff[: max(1, min(most, height - 2))]


def bars(load: Load, glyphs: str, width: int) -> str:
    """The loads (E,) as one line, with the experts' indices if they fit; in bins if E > 16."""
    fair = load * len(load)
    forms = _binned(fair, glyphs) if len(load) > ONE_BY_ONE else _one_by_one(fair, glyphs)
    return next((form for form in forms if len(form) <= width), forms[-1])


def number(value: float, form: str) -> str:
    """A value in a format of Python; `-` if it is not known."""
    return "-" if isnan(value) else format(value, form)


def _fitting_numbers(width: int) -> list[str]:
    """Of NUMBERS those that fit, in their order."""
    left = list(NUMBERS)
    for name in LEFT_OUT:
        if NUMBER * len(left) <= width:
            break
        left.remove(name)
    return left


def _title(glyphs: str, width: int) -> str:
    fair = _glyph(1.0, glyphs)
    forms = (f"expert load, fair share {fair} = 1.0", f"load, fair {fair} = 1.0", "load")
    return next((form for form in forms if len(form) <= width), forms[-1])


def _line(name: str, indent: int, bar: str, width: int, numbers: Sequence[str]) -> Text:
    """Columns by hand: a table of Rich would cost ten times as much."""
    cells = "".join(f"{number:>{NUMBER}}" for number in numbers)
    return Text(f"{name:<{indent}}{bar:<{width}}{cells}", no_wrap=True, overflow="crop")


def _one_by_one(fair: Load, glyphs: str) -> list[str]:
    """From the widest form to the narrowest."""
    drawn = [_glyph(float(share), glyphs) for share in fair]
    wide = "  ".join(f"{i} {glyph}{glyph}" for i, glyph in enumerate(drawn))
    narrow = " ".join(f"{i}{glyph}" for i, glyph in enumerate(drawn))
    return [wide, narrow, "".join(drawn)]


def _binned(fair: Load, glyphs: str) -> list[str]:
    """From the most loaded experts to the least, with both ends and without."""
    means = [float(part.mean()) for part in np.array_split(np.sort(fair)[::-1], ONE_BY_ONE)]
    drawn = "".join(_glyph(mean, glyphs) for mean in means)
    most, least = int(fair.argmax()), int(fair.argmin())
    ends = f"most #{most} {fair[most]:.1f}  least #{least} {fair[least]:.1f}"
    return [f"{drawn}  {ends}", drawn]


def _glyph(share: float, glyphs: str) -> str:
    """A load in units of the fair share."""
    return glyphs[min(len(glyphs) - 1, 1 + int(4 * share)) if share else 0]


def _cells(reading: Layer, deaths: Deaths | None) -> dict[str, str]:
    """By NUMBERS: cv, largest load, n_eff, number of dead experts and drops."""
    load = reading.load
    return {
        "cv": number(reading.cv, ".2f"),
        "max": f"{len(load) * float(load.max()):.2f}",
        "n_eff": number(reading.n_eff, ".1f"),
        "dead": "-" if deaths is None else f"{deaths.dead_experts * len(load):.0f}",
        "drop": number(reading.dropped, ".1%"),
    }
