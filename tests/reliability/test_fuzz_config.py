"""Any bytes for what reads a config, an override, a sweep or a gate's rule: a value or a located error, nothing else.

Valid inputs are damaged, and Hypothesis makes up its own. MOE_LAB_TORTURE tries a hundred thousand per reader.
"""

import random
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from moe_lab.config import load, read, resolve
from moe_lab.config.keys import leaves
from moe_lab.config.overrides import values
from moe_lab.errors import MoeLabError, Problem
from moe_lab.report import rules
from moe_lab.sweep import axes, file
from moe_lab.sweep.seeds import parse_seeds

from .conftest import Tally, scale

ROOT = Path(__file__).parents[2]
MUTANTS = 40  # of each input that Hypothesis makes
EXAMPLES = scale(24, 2_600)  # of Hypothesis
LONGEST = 5  # characters or bytes of a piece that is cut or repeated
PIECES = (  # what has a meaning somewhere
    *('"', "'", "\\", "#", ": ", "- ", "\n", "\t", "&a", "*a", "!!int ", "|", ">", "?", "---"),
    *("[", "]", "{", "}", ",", "=", ":", "..", "~", "null", "true", ".nan", "-.inf", "1e400"),
    *("-1", "0", "1e9", "9" * 30, "log:1:2:3", "lin(0,1,5)", "range:1:9", "<<: ", "extends: "),
    *(
        "\0",
        "\x1b[",
        "\u202e",
        "\ud800",
        "\ufeff",
        "\x85",
        "\u2028",
        "é",
        "🙂",
        "name: ",
        "source: text",
    ),
    *("collapse", "cv", "> ", "<= ", "baseline", "*", "+", "0.5", *leaves()),
)
CONFIGS = [path.read_text() for path in sorted((ROOT / "configs").glob("*.yaml"))]
SECTIONS = [  # each by itself: the shorter an input is, the more of them are tried
    part for text in CONFIGS for part in re.split(r"(?m)^(?=\w)", text) if not part.startswith("#")
]
SWEEP = (ROOT / "configs" / "sweep.yaml").read_text()
OVERRIDES = [f"{leaf}={value}" for leaf in leaves() for value in ("1", "0.5", "top_k", "[0, 1]")]
AXES = [
    *("alpha", "alpha=0,0.1,1", "alpha=log:1e-4:1:9", "n_experts:top_k=8:1,16:2", "lr=lin(0,1,5)"),
    *("router={name: top_k, score: sigmoid},noisy_top_k", "path=\"/a, b.txt\",'/it''s:c.txt'"),
    *(
        "moe_layers=[0],[0,1],all",
        "n_experts=range:2:9:2",
        "steps=200",
        "capacity_factor=null,1.25",
    ),
]
RULES = ["collapse", "skew", "cv > 1", "n_eff <= baseline * 0.5", "gap>=baseline-1e-3", "cv<.5e1"]


def damaged(text: str, draw: random.Random) -> str:
    """A text with a few pieces cut, repeated, moved or put in."""
    for _ in range(draw.randint(1, 4)):
        at, width = draw.randint(0, len(text)), draw.randint(0, LONGEST)
        other = draw.randint(0, len(text))
        piece = draw.choice(("", draw.choice(PIECES), text[other : other + width] * 2))
        text = text[:at] + piece + text[at + draw.randint(0, width) :]
    return text


def flipped(data: bytes, draw: random.Random) -> bytes:
    """Bytes, now and then with one that is not UTF-8 or has another meaning."""
    if not data or draw.random() < 0.8:
        return data
    at = draw.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :]


def read_config(folder: Path, text: str, draw: random.Random) -> None:
    """The whole way from a file to settings."""
    path = folder / "fuzzed.yaml"
    path.write_bytes(flipped(text.encode("utf-8", "surrogatepass"), draw))
    load(path).dump()


def read_override(folder: Path, text: str, draw: random.Random) -> None:
    problems: list[Problem] = []
    given = values([text], problems)
    resolve(read(None, []), given, problems).dump()


def read_axes(folder: Path, text: str, draw: random.Random) -> None:
    """An axis, and the same text as seeds and as a sweep file."""
    problems: list[Problem] = []
    asked = axes.parse([text], problems)
    assert problems or asked.axes
    if draw.random() < 0.1:
        parse_seeds(text, 0)
    for problem in problems:
        problem.render()


def read_sweep_file(folder: Path, text: str, draw: random.Random) -> None:
    path, problems = folder / "fuzzed.yaml", list[Problem]()
    path.write_bytes(flipped(text.encode("utf-8", "surrogatepass"), draw))
    file.read(path, problems)
    for problem in problems:
        problem.render()


def read_rule(folder: Path, text: str, draw: random.Random) -> None:
    rules.refuse_unknown([rules.parse(text)], ["cv", "n_eff", "gap"])


Reader = Callable[[Path, str, random.Random], None]
READERS: dict[str, list[tuple[Reader, list[str]]]] = {
    "config": [(read_config, [*SECTIONS, CONFIGS[0]])],
    "overrides": [(read_override, OVERRIDES)],
    "sweep axes": [(read_axes, AXES), (read_sweep_file, [SWEEP])],
    "gate rules": [(read_rule, RULES)],
}


def inputs(made_up: str, valid: list[str], draw: random.Random) -> Iterator[str]:
    """A text of Hypothesis, and mutants of valid ones."""
    yield made_up
    for _ in range(MUTANTS - 1):
        yield damaged(draw.choice(valid), draw)


def fault(attempt: Callable[[str], None], text: str) -> str | None:
    """The exception that is no refusal."""
    try:
        attempt(text)
    except MoeLabError as error:
        rendered = error.render()
        located = rendered.startswith("error: ") and error.exit_code == 2
        return None if located else f"{text!r}: {rendered}"
    except Exception as error:
        return f"{text!r}: {error!r}"
    return None


@pytest.mark.parametrize("name", READERS)
def test_any_input_is_read_or_refused(name: str, tmp_path: Path, tally: Tally):
    tried, bad = 0, list[str]()

    @settings(
        max_examples=EXAMPLES // len(READERS[name]),
        derandomize=True,
        phases=(Phase.generate,),
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.text(max_size=60), st.randoms(use_true_random=False))
    def fuzz(made_up: str, source: random.Random) -> None:
        nonlocal tried
        draw = random.Random(source.getrandbits(64))
        for reader, valid in READERS[name]:
            attempt = partial(reader, tmp_path, draw=draw)
            for text in inputs(made_up, valid, draw):
                tried += 1
                bad.extend(filter(None, [fault(attempt, text)]))

    fuzz()
    tally(f"fuzz: {name}", tried, len(bad))
    assert not bad, bad[:3]
    assert tried >= EXAMPLES * MUTANTS
    assert {path.name for path in tmp_path.iterdir()} <= {"fuzzed.yaml"}
