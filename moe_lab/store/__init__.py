"""The run folder: how a run is written so that no step is lost, and how it is read back."""

from moe_lab.store.commit import State
from moe_lab.store.folders import refuse_existing
from moe_lab.store.read import StoredRun, is_finished
from moe_lab.store.run import Run

__all__ = ["Run", "State", "StoredRun", "is_finished", "refuse_existing"]
