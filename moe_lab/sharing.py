"""A run that several ranks make: the first opens and writes its folder, the others take its state and write nothing."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from moe_lab.experiment import Experiment
from moe_lab.ranks import Ranks
from moe_lab.resuming import Done, done
from moe_lab.store import layout
from moe_lab.store.commit import State, from_bytes, to_bytes
from moe_lab.store.run import Run
from moe_lab.store.writer import Unwritten, Writer

Begun = tuple[Run, State, Done]


@contextmanager
def opened(
    experiment: Experiment, begin: Callable[[ExitStack], Begun]
) -> Iterator[tuple[Writer, Done]]:
    """The run of the first rank, closed after the block, and where all go on; `begin` is called there alone.

    Weights are the first rank's from here on, also where another machine would have drawn others in the last bit.
    """
    ranks, begun = experiment.ranks, None
    with ExitStack() as open_run:
        with ranks.together():
            if ranks.first:
                begun = begin(open_run)
        if begun:
            run, state, goes_on = begun
            _tell(ranks, run.directory, state)
            yield run, goes_on
        else:
            directory, state = _told(ranks)
            experiment.restore(state)
            yield Unwritten(directory, state.step), done(state)


def _tell(ranks: Ranks, directory: Path, state: State) -> None:
    if ranks.world_size > 1:
        for data in (str(directory).encode(), *to_bytes(state).values()):
            ranks.broadcast(data)


def _told(ranks: Ranks) -> tuple[Path, State]:
    directory = Path(ranks.broadcast(b"").decode())
    names = (layout.MODEL, layout.OPTIMIZER, layout.STATE)  # in the order of to_bytes
    return directory, from_bytes({name: ranks.broadcast(b"") for name in names}, directory)
