"""moe-lab: a laboratory for expert collapse in Mixture-of-Experts language models.

From Python: `train` runs an experiment, `load_run` reads one as pandas frames and `load_sweep` many, and
`RouterMonitor` records what the routers of any model do in a training loop of your own.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from moe_lab.api import train as train
    from moe_lab.frames import RunFrames as RunFrames
    from moe_lab.frames import load_run as load_run
    from moe_lab.monitor import RouterMonitor as RouterMonitor
    from moe_lab.sweep_frames import SweepFrames as SweepFrames
    from moe_lab.sweep_frames import load_sweep as load_sweep

__version__ = "0.1.0"
__all__ = ["RouterMonitor", "RunFrames", "SweepFrames", "load_run", "load_sweep", "train"]

_HOMES = {  # imported when asked for: they need torch or pandas, and --help does not
    "RouterMonitor": "moe_lab.monitor",
    "RunFrames": "moe_lab.frames",
    "SweepFrames": "moe_lab.sweep_frames",
    "load_run": "moe_lab.frames",
    "load_sweep": "moe_lab.sweep_frames",
    "train": "moe_lab.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'moe_lab' has no attribute '{name}'")
    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found
