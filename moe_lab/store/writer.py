"""What a training loop tells a run; and the run of a rank that leaves the writing to the first one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from moe_lab.store.commit import State
from moe_lab.store.run import Condition


@runtime_checkable
class Writer(Protocol):
    """The part of `store.run.Run` that training uses."""

    directory: Path
    step: int  # of the last commit
    differences: list[str]

    def append(self, table: str, row: Mapping[str, object]) -> None:
        """Adds one row to a table."""

    def flush(self) -> None:
        """Hands all rows to the operating system."""

    def save_arrays(self, step: int, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Writes the arrays of an evaluation."""

    def commit(self, state: State, *, keep: int) -> None:
        """Makes rows and state durable, then deletes all but the last `keep` checkpoints."""

    def event(self, kind: str, **details: Any) -> None:
        """Adds a line to events.jsonl."""

    def status(self, condition: Condition, **details: Any) -> None:
        """Replaces status.json."""

    def log(self, text: str) -> None:
        """Adds a line to log.txt."""

    def fail(self, error: BaseException) -> None:
        """Marks the run as ended by an error."""


class Unwritten:
    """A run that another rank writes."""

    def __init__(self, directory: Path, step: int):
        self.directory, self.step = directory, step
        self.differences: list[str] = []

    def append(self, table: str, row: Mapping[str, object]) -> None: ...  # noqa: D102

    def flush(self) -> None: ...  # noqa: D102

    def save_arrays(self, step: int, arrays: Mapping[str, NDArray[np.generic]]) -> None: ...  # noqa: D102

    def commit(self, state: State, *, keep: int) -> None:  # noqa: D102
        self.step = state.step

    def event(self, kind: str, **details: Any) -> None: ...  # noqa: D102

    def status(self, condition: Condition, **details: Any) -> None: ...  # noqa: D102

    def log(self, text: str) -> None: ...  # noqa: D102

    def fail(self, error: BaseException) -> None: ...  # noqa: D102
