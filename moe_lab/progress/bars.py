"""Expert loads as bars of characters, 1.0 being the fair share; every meaning is also a word or a number."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from rich.console import ConsoleOptions
from rich.text import Text

from moe_lab.metrics import Load
from moe_lab.progress.base import Deaths, Layer, Step

# Nothing, then up to a quarter of the fair share, to a half, …, and over 7/4 of it.
BLOCKS, ASCII = "·▁▂▃▄▅▆▇█", ".:-=+*#%@"
TITLE = "expert load, 1.0 = fair"
NUMBERS = 51  # characters of a line that are not bars
ONE_BY_ONE = 16  # experts; more are sorted by load and put into as many bins
MANY_EXPERTS, MANY_LAYERS, SHOWN = 64, 12, 8  # beyond either, only the worst layers are shown
STYLES = {"collapsed": "bold red", "skewed": "yellow"}


def loads(result: Step, verdicts: Mapping[int, str], options: ConsoleOptions) -> Iterator[Text]:
    """A line per MoE layer, then how many are left out; nothing for a model without experts."""
    if not result.layers:
        return
    glyphs, room = (ASCII if options.ascii_only else BLOCKS), options.max_width - NUMBERS
    shown = {layer: result.layers[layer] for layer in worst_layers(result.layers)}
    drawn = {layer: bars(reading.load, glyphs, room) for layer, reading in shown.items()}
    width = max(map(len, [TITLE, *drawn.values()]))
    yield _line("", TITLE, ("cv", "max", "n_eff", "dead", "drop"), width)
    for layer, reading in shown.items():
        numbers = _numbers(reading, result.deaths[layer])
        line = _line(f"L{layer}", drawn[layer], numbers, width)
        yield line.append(verdicts[layer], STYLES.get(verdicts[layer]))
    if hidden := len(result.layers) - len(shown):
        yield Text(f"{hidden} layers not shown: those above have the lowest n_eff")


def _line(name: str, bar: str, numbers: Sequence[str], width: int) -> Text:
    """Columns by hand: a table of Rich would cost ten times as much."""
    cells = "".join(f"{number:>7}" for number in numbers)
    return Text(f"{name:<5}{bar:<{width}}{cells}  ", no_wrap=True, overflow="crop")


def worst_layers(layers: Mapping[int, Layer]) -> list[int]:
    """The layers that are shown, in their order: all, or the SHOWN of lowest n_eff."""
    experts = max(len(reading.load) for reading in layers.values())
    few = len(layers) <= MANY_LAYERS and experts <= MANY_EXPERTS
    by_n_eff = sorted(layers, key=lambda layer: layers[layer].n_eff)
    return sorted(by_n_eff if few else by_n_eff[:SHOWN])


def bars(load: Load, glyphs: str, width: int) -> str:
    """The loads (E,) as one line, with the experts' indices if they fit; in bins if E > 16."""
    fair = load * len(load)
    forms = _binned(fair, glyphs) if len(load) > ONE_BY_ONE else _one_by_one(fair, glyphs)
    return next((form for form in forms if len(form) <= width), forms[-1])


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
    ends = f"most: {most} {fair[most]:.1f}  least: {least} {fair[least]:.1f}"
    return [f"{drawn}  {ends}", drawn]


def _glyph(share: float, glyphs: str) -> str:
    """A load in units of the fair share."""
    return glyphs[min(len(glyphs) - 1, 1 + int(4 * share)) if share else 0]


def _numbers(reading: Layer, deaths: Deaths | None) -> tuple[str, ...]:
    """cv, largest load, n_eff, number of dead experts and drops, as cells."""
    load = reading.load
    dead = "-" if deaths is None else f"{deaths.dead_experts * len(load):.0f}"
    largest = f"{len(load) * float(load.max()):.2f}"
    return f"{reading.cv:.2f}", largest, f"{reading.n_eff:.1f}", dead, f"{reading.dropped:.1%}"
