"""A live view of a sweep on a terminal: how far it is, and a table of the runs that matter now."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from moe_lab.progress.board import Board
from moe_lab.progress.canvas import PAUSE, SHARE, Canvas, minutes
from moe_lab.progress.facts import FAILED, Row

ROWS = 20  # runs in the table, at most
OTHER_LINES = 5  # of a terminal's height: the header, twice if it is folded, names, hidden, cursor
NARROWEST = 8  # characters of a run's name on a line
STYLES = {"failed": "bold red", "diverged": "bold red", "running": "bold"}
COLUMNS = ("run", "state", "step", "lm_loss", "n_eff_worst")


@dataclass(frozen=True)
class SweepView:
    """One drawing of a sweep."""

    board: Board
    passing: bool = True  # whether time passes: else it is drawn once

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """A header, then a row per run."""
        yield Text(header(self.board, passing=self.passing), "bold", no_wrap=False, overflow="fold")
        if self.board.rows:
            yield from table(self.board, options.max_width, options.max_height - OTHER_LINES)


def header(board: Board, *, passing: bool = True) -> str:
    """How far and, if time passes, how long."""
    counts = board.counts(*FAILED, "interrupted", "stopped", "running")
    progress = f"{board.finished} of {board.runs} finished{counts}  {board.share:.0%}"
    if not passing:
        return f"{board.title}  {progress}"
    seconds, session = board.eta_s, "so far" if board.is_ours else "watched"
    eta = "-" if seconds is None else minutes(seconds)
    return f"{board.title}  {progress}  eta {eta}  ({minutes(board.elapsed_s)} {session})"


def table(board: Board, width: int, height: int) -> Iterator[Text]:
    """At most ROWS runs in at most `height` lines of `width`, and how many are left out.

    Columns are laid out by hand, as a table of Rich would cost ten times as much. A name that has no room is folded:
    numbers are never cut.
    """
    shown = board.ranked()[:ROWS]
    cells = [_cells(row) for row in shown]
    widths = [max(map(len, column)) for column in zip(COLUMNS, *cells, strict=True)]
    room = max(NARROWEST, min(widths[0], width - sum(widths[1:]) - 2 * len(widths[1:])))
    yield _text(_lines(COLUMNS, [room, *widths[1:]]))
    fitting = 0
    for row, texts in zip(shown, cells, strict=True):
        lines = _lines(texts, [room, *widths[1:]])
        if row.error and row.state in FAILED:
            lines.append(f"  {row.error}")
        height -= len(lines)
        if height < 0:
            break
        fitting += 1
        yield _text(lines, STYLES.get(row.state, ""))
    if hidden := board.before + len(board.rows) - fitting:
        yield Text(f"{hidden} more {'run' if hidden == 1 else 'runs'} not shown")


def _cells(row: Row) -> tuple[str, ...]:
    step = f"{row.step}/{row.steps}" if row.steps else "-"
    loss = "-" if row.lm_loss is None else f"{row.lm_loss:.3f}"
    n_eff = "-" if row.n_eff is None else f"{row.n_eff:.1f}"
    return row.name, row.state, step, loss, n_eff


def _lines(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    """The cells on one line, and the rest of a long name below."""
    name, state, *numbers = cells
    first, *rest = (name[i : i + widths[0]] for i in range(0, len(name), widths[0]))
    right = "".join(f"  {cell:>{width}}" for cell, width in zip(numbers, widths[2:], strict=True))
    return [f"{first:<{widths[0]}}  {state:<{widths[1]}}{right}", *rest]


def _text(lines: Sequence[str], style: str = "") -> Text:
    return Text("\n".join(lines), style, no_wrap=True, overflow="crop")


class SweepLive(Board):
    """Draws when something has changed, at most four times a second, and once more at the end."""

    def __init__(
        self,
        console: Console,
        pause: float = PAUSE,
        share: float = SHARE,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.canvas = Canvas(console, pause, share, clock)
        super().__init__(self.canvas.say, clock)

    def __enter__(self) -> "SweepLive":
        self.canvas.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.canvas.stop()  # which draws what is known by now

    def start(  # noqa: D102
        self, title: str, runs: int, finished: int, watched: Sequence[Row] | None = None
    ) -> None:
        super().start(title, runs, finished, watched)
        self.canvas.draw(SweepView(self))

    def changed(self, row: Row) -> None:  # noqa: D102
        if self.canvas.due():
            self.canvas.draw(SweepView(self))
