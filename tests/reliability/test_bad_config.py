"""The corpus of bad configs: each is refused with exactly the text beside it, and nothing else happens.

`bad_input/NN-name.yaml` is given to `train`, or to `sweep` if its name says so; `NN-name.stderr` is what is printed,
with FOLDER for the folder. MOE_LAB_ACCEPT=1 writes what is printed now, to be read as a diff.

The numbers are those of the list that the corpus began as. Not in it, because there is nothing to refuse:
31 (every section has defaults), 53 but for an empty name (names are text: tests/config), 59 but for zero (slots are
rounded up, with a warning), 65 (needs torch: tests/test_bad_input.py), 66 and 67 (options: test_bad_command.py).
"""

import gzip
import os
import re
import shutil
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

from .attempts import Attempt, attempts, contents
from .conftest import Tally, scale
from .wrong_values import WrongValue, mistakes, wrong_values

CORPUS = Path(__file__).parent / "bad_input"
ACCEPT = "MOE_LAB_ACCEPT" in os.environ
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(200))
LARGE = 2**38  # bytes of a text that is a hole: no disk and no memory holds it
MADE: dict[str, bytes] = {  # too large or too odd to be kept as files
    "12a-nul.yaml": b"seed: 0\nname: a\0b\n",
    "12b-bell.yaml": b"seed: 0\nname: a\x07b\n",
    "15a-picture.yaml": PICTURE,
    "15b-gzip.yaml": gzip.compress(b"seed: 0", mtime=0),
    "15c-weights.yaml": b"PK\x03\x04" + PICTURE,
    "16-five-megabytes.yaml": b"# much\n" * 700_000,
    "18a-deep-list.yaml": b"model:\n  moe_layers: " + b"[" * 4_000,
    "18b-deep-mapping.yaml": b"moe: " + b"{router: " * 500,
    "47a-many-digits.yaml": b"train:\n  steps: " + b"9" * 4_500,
    "47b-long-line.yaml": b"train:\n  steps: " + b"9" * 100_000,
}
BESIDE: dict[str, bytes] = {  # what they name
    "empty.txt": b"",
    "twelve.txt": b"twelve bytes",
    "binary.txt": b"x" * 200 + b"\xff" * 200,
    "ids.bin": bytes(200) + (257).to_bytes(2, "little") + bytes(200),
    "odd.bin": bytes(401),
    "nothing/.x.txt": b"x" * 400,
    "words.json": b'{"model": {"type": "WordLevel", "vocab": {"[UNK]": 0}, "unk_token": "[UNK]"}}',
}


def prepare(folder: Path) -> Path:
    """The corpus in a folder of its own, with all that it names."""
    shutil.copytree(CORPUS, folder, ignore=shutil.ignore_patterns("*.stderr"))
    for name, data in (MADE | BESIDE).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "17a-folder.yaml").mkdir()
    for name in ("pipe", "17c-pipe.yaml"):
        os.mkfifo(folder / name)
    (folder / "17d-device.yaml").symlink_to("/dev/zero")
    with (folder / "large.txt").open("wb") as file:
        file.truncate(LARGE)
    return folder


def command(name: str) -> list[str]:
    return ["sweep" if "-sweep-" in name else "train", f"{name}.yaml"]


def expected(name: str, said: str) -> str:
    """The text beside a case; with MOE_LAB_ACCEPT, what it says now is put there."""
    path = CORPUS / f"{name}.stderr"
    if ACCEPT:
        path.write_text(said, encoding="utf-8")
    return path.read_text(encoding="utf-8")


def problem(name: str, found: Attempt, folder: Path) -> str | None:
    said = found.stderr.replace(str(folder), "FOLDER")
    if said != expected(name, said):
        return f"{name}: {said}"
    return found.wrong


def test_every_case_is_refused_with_the_text_beside_it(tmp_path: Path, tally: Tally):
    folder = prepare(tmp_path / "corpus")
    names = sorted({path.stem for path in folder.glob("*.yaml")} | {"17b-misisng"})
    (folder / "17b-missing.yaml").write_text("seed: 0\n")
    before = contents(folder)
    found = attempts(folder, [command(name) for name in names])
    bad = [p for name, each in zip(names, found, strict=True) if (p := problem(name, each, folder))]
    assert contents(folder) == before
    tally("invalid configs", len(names), len(bad))
    assert not bad, bad[:3]
    assert {path.stem for path in CORPUS.glob("*.stderr")} == set(names)


ALLOWED = {  # what a message says beside the key
    "type": r"expected .+, got |there is no (method|source) |is missing|not allowed|is required",
    "null": r"expected .+, got |is missing",
    "below": r" is outside [\[(].+\]",
    "above": r" is outside [\[(].+\]",
    "misspelt": r"unknown config key ",
}


def unlike(wrong: WrongValue, name: str, found: Attempt) -> str | None:
    """How a refusal falls short: of one error with key, place, what is allowed and, if misspelt, the right word."""
    first, arrow = found.stderr.split("\n")[:2]
    place = f"  --> {name}:{wrong.line}:{wrong.column}"
    said = f"'{wrong.key}" in first and re.search(ALLOWED[wrong.kind], first)
    single = found.stderr.count("error: ") == 1 and arrow == place
    helps = wrong.help in found.stderr.rpartition("help: ")[2] if wrong.help else True
    return found.wrong or (None if said and single and helps else f"{wrong}: {found.stderr}")


def test_every_key_that_is_wrong_is_refused_at_its_place(tmp_path: Path, tally: Tally):
    (tmp_path / "text.txt").write_bytes(b"x" * 1000)
    every = list(wrong_values())
    wrong = {f"{index}.yaml": value for index, value in enumerate(every[:: scale(3, 1)])}
    for name, value in wrong.items():
        (tmp_path / name).write_text(value.text)
    before = contents(tmp_path)
    found = attempts(tmp_path, [["train", name] for name in wrong])
    pairs = zip(wrong.items(), found, strict=True)
    bad = [short for (name, value), each in pairs if (short := unlike(value, name, each))]
    assert contents(tmp_path) == before
    tally("invalid configs", len(wrong), len(bad))
    assert not bad, bad[:3]
    assert len(every) > 800


@pytest.mark.parametrize("annotation", [int, float | None, bytes])
def test_a_new_key_needs_bounds_and_a_known_kind(annotation):
    with pytest.raises((AssertionError, KeyError)):
        list(mistakes("train.new", FieldInfo.from_annotation(annotation)))
