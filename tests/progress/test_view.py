"""What is drawn of a run, letter by letter."""

import io
from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from moe_lab.progress import Story
from moe_lab.progress.live import NOTE
from moe_lab.progress.view import View

from .conftest import See, SeenLayer, SeenStep, story


def shown(
    known: Story,
    width: int = 100,
    height: int = 40,
    encoding: str = "utf-8",
    *,
    note: str = NOTE,
    over: bool = False,
) -> list[str]:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    Console(file=file, width=width, height=height, highlight=False).print(View(known, note, over))
    file.seek(0)
    return file.read().splitlines()


@pytest.fixture
def told(see: See) -> Story:
    """Half a run of two layers of eight experts: the loss falls by 1/4 a step, and a second passes."""
    known = story("runs/demo", steps=16, tokens_per_step=41_234)
    known.evaluated(0, 5.0)
    for step in range(1, 9):
        layers = {
            0: SeenLayer([10, 9, 11, 12, 8, 10, 6, 14]),
            1: SeenLayer([40, 10 - step, 9, 5, 0, 16, 4, 6 + step], dropped=0.06),
        }
        known.step(SeenStep(step, layers, dict.fromkeys(layers), 5 - step / 4), float(step))
    known.evaluated(8, 2.298)
    return known


# layer 0, of 80 assignments, fair 10: cv = sqrt(42 / 8) / 10 = .229, max 14 / 10, n_eff 8 exp(-.229^2 / 2) = 7.79;
# layer 1, (40, 2, 9, 5, 0, 16, 4, 14) of 90, fair 11.25: cv = sqrt(2178 / 8 - 11.25^2) / 11.25 = 1.073, max 40 / 11.25;
# at step 1 it was sqrt(2108 / 8 - 11.25^2) / 11.25 = 1.040, and its course is drawn from 0 on
WIDE = """\
demo  seed 0  cpu, 1 thread                                                 step 8/16  50%  eta 0:08
loss 3.010   (lm 3.000 + aux 0.010)   val 2.298 @8   ppl 9.954   41.2k tok/s   grad 0.84
    expert load, fair share ▅ = 1.0                    cv    max  n_eff   dead   drop
L0  0 ▅▅  1 ▄▄  2 ▅▅  3 ▅▅  4 ▄▄  5 ▅▅  6 ▃▃  7 ▆▆   0.23   1.40    7.8      -   0.0%  balanced
L1  0 ██  1 ▁▁  2 ▄▄  3 ▂▂  4 ··  5 ▆▆  6 ▂▂  7 ▅▅   1.07   3.56    4.8      -   6.0%  skewed
worst cv 1.04 ████████ 1.07   loss 4.76 █▇▆▅▄▃▂▁ 3.01              Ctrl-C: saved, and can be resumed
"""
NARROW = """\
demo  seed 0  cpu, 1 thread         step 8/16  50%  eta 0:08
loss 3.010   val 2.298 @8   ppl 9.954   41.2k tok/s
    load         cv    max  n_eff   dead   drop
L0  ▅▄▅▅▄▅▃▆   0.23   1.40    7.8      -   0.0%  balanced
L1  █▁▄▂·▆▂▅   1.07   3.56    4.8      -   6.0%  skewed
worst cv 1.04 ████████ 1.07   loss 4.76 █▇▆▅▄▃▂▁ 3.01
Ctrl-C: saved, and can be resumed
"""
TO_ASCII = str.maketrans("·▁▂▃▄▅▆▇█", ".:-=+*#%@")


@pytest.mark.parametrize(("width", "picture"), [(100, WIDE), (60, NARROW)])
def test_the_picture(told: Story, width: int, picture: str):
    assert shown(told, width) == picture.splitlines()


@pytest.mark.parametrize(("width", "picture"), [(100, WIDE), (60, NARROW)])
def test_without_unicode_the_picture_is_ascii(told: Story, width: int, picture: str):
    assert shown(told, width, encoding="latin-1") == picture.translate(TO_ASCII).splitlines()


def test_what_is_over_has_a_duration_and_no_eta(told: Story):
    header, *_, last = shown(told, note="", over=True)
    assert header.endswith("step 8/16  50%  in 0:08")
    assert last.endswith("3.01")
    told.step(told.result.__class__(16, {}, {}), 20.0)
    assert shown(told)[0].endswith("step 16/16  100%  in 0:20")


def test_a_run_of_unknown_length_has_neither_share_nor_eta(see: See):
    known = story(steps=None, seed=None, tokens_per_step=None)
    known.step(see(3), 0.75)
    first, second, *_ = shown(known, 60)
    assert first.startswith("x  cpu, 1 thread  ")
    assert first.endswith("step 3  in 0:01")
    assert "250 ms/step" in second
    assert "val" not in second


def test_text_is_measured_in_bits(see: See):
    known = story(per_byte=True)
    known.evaluated(0, 1.5)
    known.step(see(1), 1.0)
    assert "val 1.500 @0   2.164 bits/byte" in shown(known)[1]  # 1.5 / ln 2


def test_what_is_not_known_is_a_dash():
    known = story()
    known.evaluated(1, nan)
    known.step(SeenStep(1, {}, {}, nan, nan, nan), 1.0)
    assert shown(known)[1].startswith("loss -   (lm - + aux -)   val - @1   ppl -")


def test_a_part_of_a_percent_is_not_rounded_up(see: See):
    known = story(steps=1000)
    known.step(see(999), 1.0)
    assert "step 999/1000  99%" in shown(known)[0]


def test_a_long_name_is_cut_and_the_progress_is_not(see: See):
    known = story("runs/" + "n" * 80)
    known.step(see(1), 1.0)
    assert shown(known, 60)[0] == "n" * 33 + "…  step 1/10  10%  eta 0:09"
    assert shown(known, 60, encoding="ascii")[0] == "n" * 33 + "~  step 1/10  10%  eta 0:09"
    assert shown(known, 28)[0] == "n…  step 1/10  10%  eta 0:09"
    assert shown(known, 26)[0] == "step 1/10  10%  eta 0:09"


def test_a_name_is_no_command_to_the_terminal(see: See):
    known = story("runs/\x1b[2J\u202e")
    known.step(see(1), 1.0)
    assert shown(known)[0].startswith(r"\x1b[2J\u202e  seed 0")


@pytest.mark.parametrize("height", [4, 5, 6, 7, 8, 15, 24])
def test_a_low_terminal_is_filled_and_never_overfilled(see: See, height: int):
    known = story()
    known.step(see(1, *([10 + i, 10] for i in range(48))), 1.0)
    lines = shown(known, 60, height)
    # one line is the cursor's; at most header, losses, title, 8 layers, the count, courses and note
    assert len(lines) == min(height - 1, 14)
    assert any(line.startswith("L47") for line in lines) == (height > 4)


@given(
    st.integers(1, 48),
    st.sampled_from([2, 8, 16, 17, 64, 1024]),
    st.integers(20, 140),
    st.integers(4, 50),
    st.sampled_from(["utf-8", "ascii"]),
)
def test_no_line_is_wider_and_no_picture_higher_than_the_terminal(
    n_layers: int, experts: int, width: int, height: int, encoding: str
):
    known = story("runs/" + "x" * width, steps=100_000, tokens_per_step=10**7)
    known.evaluated(12_345, 1234.5)
    layers = {i: SeenLayer([1 + (e * i) % 7 for e in range(experts)]) for i in range(n_layers)}
    for step in (12_345, 12_346):
        known.step(SeenStep(step, layers, dict.fromkeys(layers), 1234.5, 0.1, 1e9), 1e5 * step)
    lines = shown(known, width, height, encoding)
    assert max(map(len, lines)) <= width
    assert len(lines) < height
    assert encoding == "utf-8" or all(line.isascii() for line in lines)
