"""Whether the text that a config names can be trained on, seen before torch is imported."""

from collections.abc import Iterator
from pathlib import Path

from moe_lab.config.files import neighbour
from moe_lab.config.rules import Finding
from moe_lab.config.schema import Text

KEY = ("data.path",)


def text_refusals(text: Text) -> Iterator[Finding]:
    """Missing, unreadable, empty, or too short for one training and one validation window."""
    path = Path(text.path)
    try:
        with path.open("rb"):
            size = path.stat().st_size
    except FileNotFoundError:
        yield Finding(KEY, f"'data.path': no such file: {path}", neighbour(path))
    except IsADirectoryError:
        yield Finding(KEY, f"'data.path' is a folder: {path}", "name one file in it")
    except OSError as error:
        yield Finding(KEY, f"'data.path' cannot be read: {path}: {error.strerror}")
    else:
        yield from _too_short(size, text)


def _too_short(size: int, text: Text) -> Iterator[Finding]:
    needed = 2 * (text.seq_len + 1)
    if size < needed:
        amount = f"has {size} bytes" if size else "is empty"
        yield Finding(
            KEY,
            f"'data.path': the file {amount}; with seq_len {text.seq_len} it needs at least "
            f"2 * ({text.seq_len} + 1) = {needed}: a training and a validation window",
        )
