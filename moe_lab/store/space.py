"""How much room a run will take, before it begins."""

from collections.abc import Collection, Mapping

from moe_lab.store.commit import State

CELL = 20  # bytes: a double is written with up to 24 characters, most cells with fewer than 20, and a comma
RECORDS = 1_000_000  # bytes of everything else: JSON, log, events, arrays of evaluations


def space(state: State, tables: Mapping[str, Collection[str]], *, rows: int, keep: int) -> int:
    """Bytes that a run needs, rather too many than too few.

    (keep + 1) × the arrays of a state, as a checkpoint is written before the oldest goes
    + CELL × rows × the columns of all tables, `rows` being those of the longest table
    + RECORDS.
    """
    arrays = sum(array.nbytes for part in (state.model, state.optimizer) for array in part.values())
    columns = sum(len(header) for header in tables.values())
    return (keep + 1) * arrays + CELL * rows * columns + RECORDS
