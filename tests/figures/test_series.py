"""How arms are told apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_lab.figures import style
from moe_lab.figures.series import Series


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@given(st.integers(1, 12))
def test_an_order_is_readable_on_white_and_on_black(n: int):
    dark = luminance("#15181d")
    for colour in Series(tuple(map(str, range(n))), ordered=True).colours:
        bright = luminance(colour)
        assert 1.05 / (bright + 0.05) >= 3
        assert (bright + 0.05) / (dark + 0.05) >= 3


def test_an_order_grows_lighter():
    colours = Series(tuple("abcde"), ordered=True).colours
    found = [luminance(colour) for colour in colours]
    assert found == sorted(found)


@pytest.mark.parametrize("ordered", [True, False])
def test_no_two_of_many_arms_look_alike(ordered: bool):
    series = Series(tuple(map(str, range(24))), ordered=ordered)
    dashes = series.dashed().to_dict()["scale"]["range"]
    looks = {(c, tuple(d)) for c, d in zip(series.colours, dashes, strict=True)}
    assert len(looks) == 24


def test_arms_without_an_order_have_the_palette():
    assert Series(("a", "b")).colours == list(style.COLOURS[:2])


def test_one_arm_needs_no_legend():
    assert Series(("a",)).coloured().to_dict()["legend"] is None
