"""Markdown on stdout."""

from collections.abc import Iterable, Sequence


def title(text: str) -> None:
    """A heading of a section."""
    print(f"\n## {text}\n", flush=True)


def note(text: str) -> None:
    """A paragraph."""
    print(f"{text}\n", flush=True)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table whose first column is text and whose others are numbers."""
    _row(header)
    _row(["---", *["---:"] * (len(header) - 1)])
    for row in rows:
        _row(row)
    print(flush=True)


def _row(cells: Sequence[object]) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)
