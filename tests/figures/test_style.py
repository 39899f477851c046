import itertools

import numpy as np
import pytest

from moe_lab import columns, sweep_columns
from moe_lab.figures import style

WHITE, DARK = "#ffffff", "#15181d"
# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
BLINDNESS = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}  # fmt: skip


def linear(colour: str) -> np.ndarray:
    part = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


def luminance(colour: str) -> float:
    return float(linear(colour) @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of linear sRGB under D65."""
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x = np.clip(np.array(to_xyz) @ rgb, 0, None) / [0.9505, 1, 1.089]
    f = np.where(x > (6 / 29) ** 3, np.cbrt(x), x / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_contrast_of_black_on_white_is_21():
    assert contrast("#000000", WHITE) == pytest.approx(21)


@pytest.mark.parametrize("colour", [*style.COLOURS, *style.VERDICTS.values()])
def test_marks_are_seen_on_white_and_on_black(colour: str):
    assert contrast(colour, WHITE) >= 3
    assert contrast(colour, DARK) >= 3


@pytest.mark.parametrize("colour", [style.INK, style.MUTED])
def test_words_are_read_on_white(colour: str):
    assert contrast(colour, WHITE) >= 4.5


@pytest.mark.parametrize("kind", BLINDNESS)
def test_the_first_colours_are_told_apart_without_colour_vision(kind: str):
    """Four of them: more are rarely drawn in one panel, and each has its own dash and shape."""
    seen = [lab(np.array(BLINDNESS[kind]) @ linear(colour)) for colour in style.COLOURS[:4]]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 10


def test_every_colour_has_a_dash_and_a_shape_of_its_own():
    assert len({tuple(dash) for dash in style.DASHES}) == len(style.COLOURS)
    assert len(set(style.SHAPES)) == len(set(style.COLOURS)) == len(style.COLOURS)


def test_the_fair_share_is_the_lightest_of_the_diverging_colours():
    light = [luminance(colour) for colour in style.BELOW_TO_ABOVE]
    middle = len(light) // 2
    assert light[: middle + 1] == sorted(light[: middle + 1])
    assert light[middle:] == sorted(light[middle:], reverse=True)


def test_axes_have_the_words_of_the_columns_with_their_units():
    assert style.titled("n_eff") == "n_eff (experts)"
    assert style.titled("cv") == "cv"
    assert style.titled("load relative to fair", "ratio") == "load relative to fair (ratio)"
    for column in (*columns.CV, *columns.EVAL, *sweep_columns.OUTCOMES):
        assert style.titled(column.name).startswith(column.name)


def test_the_neutral_colours_are_used_for_nothing_else():
    """A page replaces them in the dark."""
    neutral = {style.INK, style.MUTED, style.GRID}
    assert len(neutral) == 3
    assert not neutral & {*style.COLOURS, *style.BELOW_TO_ABOVE, *style.VERDICTS.values()}
