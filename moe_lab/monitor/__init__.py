"""A person's own training loop, watched: what its routers do, written as a run that `report` reads."""

from moe_lab.monitor.monitor import RouterMonitor

__all__ = ["RouterMonitor"]
