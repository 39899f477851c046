"""The steps of a run from its tables: each is told once, as soon as all its rows are there."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from moe_lab.metrics import Load
from moe_lab.progress import Reporter, Story
from moe_lab.store import layout
from moe_lab.store.following import TableFollower
from moe_lab.store.read import StoredRun
from moe_lab.watch.cells import Row

TRAIN = "train"
BEFORE = -1  # a step before all


@dataclass(frozen=True)
class SeenLayer:
    """One layer's rows of utilization.csv and cv.csv."""

    top_k: int
    load: Load
    cv: float
    n_eff: float
    dropped: float


@dataclass(frozen=True)
class SeenDeaths:
    """Of one layer's row of cv.csv."""

    dead_experts: float


@dataclass(frozen=True)
class SeenStep:
    """The rows of one step; nan where a cell is blank."""

    step: int
    lm_loss: float
    aux_loss: float
    grad_norm: float
    layers: dict[int, SeenLayer]
    deaths: dict[int, SeenDeaths | None]


class RunFollower:
    """A run that another process may be writing."""

    def __init__(self, stored: StoredRun):
        self._top_k = int(stored.config["moe"]["top_k"])
        self._elapsed_s = 0.0
        # A run writes its timing last, and here it is read first: what has a time then, has all its other rows.
        self._timing, self._steps, self._loads, self._cv, self._evals = self._tables = [
            _Table(layout.table(stored.directory, name))
            for name in ("timing", "steps", "utilization", "cv", "eval")
        ]

    def tell(self, hearer: Story | Reporter, *, ended: bool = False) -> int:
        """Tell what is new, and how many steps that were.

        ended: whether no more rows will come. A step that diverged has no time, and is told only then.
        Raises CutBack if the run went back to a checkpoint, ArtefactError if it is damaged or gone.
        """
        told = 0
        while True:
            for table in self._tables:
                table.read()
            for row in self._evals.take():
                hearer.evaluated(row.whole("step"), row.number("lm_loss"))
            for step in self._steps_until(self._complete(ended)):
                hearer.step(step, self._elapsed_s)
                told += 1
            if not any(table.can_read_on for table in self._tables):
                return told

    def _complete(self, ended: bool) -> int:
        """The last step of which all rows are there; a model without MoE layers has none of these."""
        by_layer = [table for table in (self._loads, self._cv) if table.last > BEFORE]
        timing = [] if ended else [self._timing]
        return min(table.complete for table in (self._steps, *by_layer, *timing))

    def _steps_until(self, last: int) -> Iterator[SeenStep]:
        for row in self._steps.take(last):
            step = row.whole("step")
            for timing in self._timing.take(step):
                self._elapsed_s = timing.seconds("elapsed_s")
            loads = {found.whole("layer"): found for found in self._loads.take(step)}
            balances = {found.whole("layer"): found for found in self._cv.take(step)}
            layers = [layer for layer in loads if layer in balances]
            yield SeenStep(
                step=step,
                lm_loss=row.number("lm_loss"),
                aux_loss=row.number("aux_loss"),
                grad_norm=row.number("grad_norm"),
                layers={i: self._layer(loads[i], balances[i]) for i in layers},
                deaths={i: _deaths(balances[i]) for i in layers},
            )

    def _layer(self, loads: Row, balance: Row) -> SeenLayer:
        return SeenLayer(
            top_k=self._top_k,
            load=loads.load(),
            cv=balance.number("cv"),
            n_eff=balance.number("n_eff"),
            dropped=balance.number("dropped"),
        )


def _deaths(balance: Row) -> SeenDeaths | None:
    share = balance.number("dead_experts")
    return SeenDeaths(share) if share >= 0 else None  # nan: the window is not long enough yet


class _Table:
    """The rows of training, or of evaluations, that were read and not taken yet: about a piece of the table."""

    def __init__(self, path: Path):
        self._follower = TableFollower(path)
        self._waiting: deque[tuple[int, Row]] = deque()
        self.last = BEFORE  # step of the last row that was read

    @property
    def complete(self) -> int:
        """The last step of which all rows were read: a piece may end between those of one."""
        return self.last - 1 if self._follower.has_more else self.last

    @property
    def can_read_on(self) -> bool:
        """Whether there is more, and no whole step waits."""
        return self._follower.has_more and not self._is_ahead

    @property
    def _is_ahead(self) -> bool:
        return bool(self._waiting) and self._waiting[0][0] <= self.complete

    def read(self) -> None:
        """The next piece, unless other tables have to catch up first."""
        if self._is_ahead:
            return
        for cells in self._follower.read():
            row = Row(self._follower.path, dict(zip(self._follower.names, cells, strict=True)))
            self.last = row.whole("step")
            if row.cells.get("split", TRAIN) == TRAIN:
                self._waiting.append((self.last, row))

    def take(self, last: int | None = None) -> Iterator[Row]:
        """The waiting rows up to a step, or all; each once."""
        while self._waiting and (last is None or self._waiting[0][0] <= last):
            yield self._waiting.popleft()[1]
