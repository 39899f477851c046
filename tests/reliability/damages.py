"""Ways in which the files of a run can be damaged, as what is written in place of them."""

import pickle
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

Files = Mapping[str, bytes]  # contents by path

FOREIGN = {
    "a PNG image": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    "a gzip archive": b"\x1f\x8b\x08\0" + bytes(100),
    "a pickle": pickle.dumps({"step": 3}),
    "text": b"Dear Sir or Madam,\n\n" * 9,
    "JSON": b'{"schema": 2, "step": 3}\n',
    "a list": b"[1, 2, 3]",
}
BLOCK = 4096


@dataclass(frozen=True)
class Damage:
    """What was done, and the files that have other contents by it."""

    what: str
    files: Files


def flips(files: Files, number: int) -> Iterator[Damage]:
    """So many single bits, spread evenly over the files."""
    names = sorted(name for name, data in files.items() if data)
    draw = random.Random(0)
    for i in range(number):
        name = names[i % len(names)]
        data = bytearray(files[name])
        bit = draw.randrange(8 * len(data))
        data[bit // 8] ^= 1 << bit % 8
        yield Damage(f"bit {bit} of {name}", {name: bytes(data)})


def truncations(files: Files) -> Iterator[Damage]:
    """Every length of every file."""
    for name, data in files.items():
        for length in range(len(data)):
            yield Damage(f"{name} cut to {length} bytes", {name: data[:length]})


def others(files: Files, earlier: Files) -> Iterator[Damage]:
    """Swapped, zeroed, replaced by an older version or by something else."""
    for name, data in files.items():
        yield Damage(f"{name} with a zeroed block", {name: bytes(BLOCK) + data[BLOCK:]})
        yield Damage(f"{name} with zeros behind it", {name: data + bytes(BLOCK)})
        yield Damage(f"{name} twice", {name: data + data})
        for kind, content in FOREIGN.items():
            yield Damage(f"{name} is {kind}", {name: content})
        if earlier.get(name, data) != data:
            yield Damage(f"{name} of earlier", {name: earlier[name]})
        for other in files:
            if name < other and data != files[other]:
                yield Damage(f"{name} and {other} swapped", {name: files[other], other: data})


def read(folder: Path) -> dict[str, bytes]:
    """Every file under a folder, by its path in it."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def write(folder: Path, files: Files) -> None:
    """The files, private as a run's are."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_bytes(data)
