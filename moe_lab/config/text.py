"""Whether the text that a config names can be trained on, seen before torch is imported."""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from re import ASCII, fullmatch

from moe_lab.columns import EVAL, names
from moe_lab.config.data import Text
from moe_lab.config.files import kind, neighbour, opened
from moe_lab.config.findings import Finding
from moe_lab.corpus import BYTE_ORDERED, entries, files, is_folder

KEY = "data.path"
NAMED = "write path: {label: file, …} to name the files, and to choose among them"
LABEL, LABEL_RULE = r"\w[\w.-]{0,63}", "use 1 to 64 of A-Z a-z 0-9 _ . -, the first no . or -"
IDS_AT_ONCE = 1 << 24
# Bytes of files that are read whole before training. Text without a tokenizer is not: it may be of any size.
LARGEST_TOKENIZER, LARGEST_TEXT, LARGEST_IDS = 1 << 28, 1 << 30, 1 << 34
HEAD = 4096  # bytes by which a file is known


def text_refusals(text: Text) -> Iterator[Finding]:
    """Files that are missing, unreadable, too short or not as said; labels that cannot name columns."""
    yield from _tokenizer(text.tokenizer)
    folder = is_folder(text.path)
    if folder and (found := list(_folder(Path(str(text.path))))):
        yield from found
        return
    named = files(text.path)
    for label, file in named.items():
        keys = (f"{KEY}.{label}", KEY)
        if folder or isinstance(text.path, dict):
            yield from _label(label, keys)
        yield from _file(file, keys, text)
    yield from _weights(text, list(named))


def _tokenizer(path: str | None) -> Iterator[Finding]:
    keys = ("data.tokenizer",)
    if path is None:
        return
    if find_spec("tokenizers") is None:
        remedy = "pip install 'moe-lab[tokenizers]'"
        yield Finding(keys, "'data.tokenizer' needs the package tokenizers", remedy)
        return
    from tokenizers import Tokenizer  # an extra

    try:
        with opened(Path(path)) as file:
            Tokenizer.from_str(file.read(LARGEST_TOKENIZER).decode())
    except FileNotFoundError:
        yield Finding(keys, f"'data.tokenizer': no such file: {path}", neighbour(Path(path)))
    except OSError as error:
        yield Finding(keys, f"'data.tokenizer' cannot be read: {path}: {error.strerror}")
    except Exception as error:  # the package raises nothing narrower
        reason = " ".join(str(error).split())
        yield Finding(keys, f"'data.tokenizer': {path} is not a tokenizer.json: {reason}")


def _folder(folder: Path) -> Iterator[Finding]:
    try:
        found = entries(folder)
    except OSError as error:
        yield Finding((KEY,), f"'{KEY}' cannot be read: {folder}: {error.strerror}")
        return
    if not found:
        remedy = "hidden files and subfolders are not read"
        yield Finding((KEY,), f"'{KEY}': there are no files in {folder}", remedy)
    outside = [file for file in found if not file.resolve().is_relative_to(folder.resolve())]
    if outside:
        yield Finding((KEY,), f"'{KEY}': {outside[0]} is a link out of the folder", NAMED)
    for label, same in groupby(sorted(found, key=lambda file: file.stem), lambda file: file.stem):
        if len(alike := [file.name for file in same]) > 1:
            message = f"'{KEY}': {' and '.join(alike)} in {folder} would both be labelled '{label}'"
            yield Finding((KEY,), message, NAMED)


def _label(label: str, keys: Sequence[str]) -> Iterator[Finding]:
    column = f"{label}_loss"
    if not fullmatch(LABEL, label, ASCII):
        message = f"'{KEY}': {label!r} cannot be a label: it is part of a column's name"
        yield Finding(tuple(keys), message, f"{LABEL_RULE}; {NAMED}")
    elif column in names(EVAL):
        message = f"'{KEY}': '{label}' cannot be a label: '{column}' is another column"
        yield Finding(tuple(keys), message, NAMED)


def _file(file: Path, keys: tuple[str, ...], text: Text) -> Iterator[Finding]:
    """Missing, unreadable, empty, too short for one training and one validation window, or not as said."""
    try:
        with opened(file):
            size = file.stat().st_size
    except FileNotFoundError:
        yield Finding(keys, f"'{KEY}': no such file: {file}", neighbour(file))
    except IsADirectoryError:
        yield Finding(keys, f"'{KEY}' is a folder: {file}", "name one file in it")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        yield Finding(keys, f"'{KEY}' cannot be read: {file}: {reason}")
    else:
        refused = [*_too_short(file, size, text), *_too_long(size, text)]
        problems = refused or (_not_text(file) if text.tokenizer else _not_ids(file, size, text))
        yield from (Finding(keys, f"'{KEY}': the file {file.name} {each}") for each in problems)


def _too_short(file: Path, size: int, text: Text) -> Iterator[str]:
    needed, width = 2 * (text.seq_len + 1), int(BYTE_ORDERED[text.dtype][-1])
    if size == 0 or (size < needed * width and text.tokenizer is None):
        unit = "bytes" if width == 1 else "token ids"
        amount = f"has {size // width} {unit}" if size else "is empty"
        yield (
            f"{amount}; with seq_len {text.seq_len} it needs at least "
            f"2 * ({text.seq_len} + 1) = {needed}: a training and a validation window"
        )


def _too_long(size: int, text: Text) -> Iterator[str]:
    if text.tokenizer and size > LARGEST_TEXT:
        yield (
            f"has {size:,} bytes; the limit for a tokenizer is {LARGEST_TEXT:,}: "
            "store its ids, with dtype: uint16"
        )
    if text.dtype != "bytes" and size > LARGEST_IDS:
        yield f"has {size:,} bytes; the limit for ids is {LARGEST_IDS:,}: name its parts as files"


def _not_text(file: Path) -> Iterator[str]:
    try:
        file.read_bytes().decode()
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        yield f"is not UTF-8: byte 0x{byte:02x} at offset {error.start}; a tokenizer reads text"


def _not_ids(file: Path, size: int, text: Text) -> Iterator[str]:
    """Ids that the vocabulary does not have, and part of an id at the end."""
    if text.vocab_size is None or text.dtype == "bytes":
        return
    import numpy as np  # as slow to import as all else that reads a config

    ids = np.dtype(BYTE_ORDERED[text.dtype])
    if size % ids.itemsize:
        yield f"has {size} bytes, which are no whole number of {text.dtype}"
        return
    for start in range(0, size, IDS_AT_ONCE * ids.itemsize):
        block = np.fromfile(file, ids, IDS_AT_ONCE, offset=start)
        if (beyond := block >= text.vocab_size).any():
            first = int(beyond.argmax())
            yield (
                f"has the id {block[first]} at byte {start + first * ids.itemsize}; "
                f"'data.vocab_size' {text.vocab_size} allows ids below it"
            )
            return


def _weights(text: Text, labels: Sequence[str]) -> Iterator[Finding]:
    given = list(text.weights or labels)
    wrong = [f"'{label}' has none" for label in labels if label not in given]
    wrong += [f"there is no '{label}'" for label in given if label not in labels]
    if wrong:
        remedy = f"give one for each of {', '.join(labels)}"
        yield Finding(("data.weights",), f"'data.weights': {', '.join(wrong)}", remedy)


def text_warnings(text: Text) -> Iterator[Finding]:
    """Files that hold no text, which are read as bytes all the same."""
    for label, file in files(text.path).items() if text.dtype == "bytes" else ():
        with opened(file) as opening:
            head = opening.read(HEAD)
        if found := kind(head) or ("binary" if 0 in head else None):
            message = f"'{KEY}': the file {file.name} is {found}; its bytes are read as they are"
            yield Finding((f"{KEY}.{label}", KEY), message)
