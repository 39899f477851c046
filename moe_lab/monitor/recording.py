"""The run directory of a loop that is not ours: rows as our own loop writes them, no config and no checkpoints."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from moe_lab import columns, machine
from moe_lab.errors import ConfigError
from moe_lab.metrics import DeadWindow, LoadWatch, deaths
from moe_lab.model import ALWAYS_MEASURED
from moe_lab.report.outcomes import reached
from moe_lab.rows import over_layers, watch_step, write_layer
from moe_lab.store import records
from moe_lab.store.run import Run
from moe_lab.tally import Reading


class Recording:
    """A run being recorded. Its directory appears with the first step, which tells its width."""

    def __init__(self, directory: Path, model: nn.Module, about: Mapping[str, Any]):
        self.directory, self.step = directory, 0
        self._device = next(model.parameters()).device
        self._about = {**about, "parameters": {"total": sum(p.numel() for p in model.parameters())}}
        self._run: Run | None = None
        self._windows: dict[int, DeadWindow] = {}
        self._watches: dict[int, LoadWatch] = {}
        self._tokens = 0
        self._elapsed = 0.0
        self.restart_clock()

    def restart_clock(self) -> None:
        """What has passed since the last step is no training time."""
        self._last = time.perf_counter()

    def write_step(self, readings: Mapping[int, Reading], **known: float | None) -> None:
        """One optimizer step; known are further columns of steps.csv."""
        run = self._opened(readings)
        self.step += 1
        found = {layer: self._window(layer, r).add(r.counts) for layer, r in readings.items()}
        tokens = _tokens(readings)
        self._tokens += tokens
        place = {"step": self.step, "tokens": self._tokens}
        run.append("steps", {**place, **known, **over_layers(readings, found)})
        for layer, reading in readings.items():
            where = {"step": self.step, "split": "train", "layer": layer}
            write_layer(run, where, reading, found[layer], {}, {})
        watches = {layer: self._watch(layer, r) for layer, r in readings.items()}
        watch_step(run, self.step, watches, readings)
        self._write_timing(run, tokens)
        run.flush()

    def write_evaluation(self, readings: Mapping[int, Reading], loss: float | None) -> None:
        """One evaluation, after the last step."""
        run = self._opened(readings)
        run.append("eval", {"step": self.step, "lm_loss": loss})
        for layer, reading in readings.items():
            where = {"step": self.step, "split": "eval", "layer": layer}
            write_layer(run, where, reading, deaths(reading.counts), {}, {})
        run.flush()
        self.restart_clock()

    def finish(self) -> None:
        """The loop went to its end."""
        if self._run is not None:
            with self._run as run:
                run.event("finish", step=self.step)
                layers = {str(layer): watch.outcome() for layer, watch in self._watches.items()}
                run.step = self.step
                found = reached(run.directory)
                run.finish({"steps": self.step, "layers": layers, "outcomes": found})

    def fail(self, error: BaseException) -> None:
        """The loop was left by an exception; Ctrl-C stops it, all else is a failure."""
        if self._run is not None:
            with self._run as run:
                run.step = self.step
                run.fail(error)

    def _opened(self, readings: Mapping[int, Reading]) -> Run:
        """The run, which the first readings begin."""
        if self._run is None:
            self._run = self._created(*_one_width(readings, self._about["routers"]))
        return self._run

    def _created(self, n_experts: int, top_k: int) -> Run:
        tables = columns.tables(n_experts=n_experts, balancers=ALWAYS_MEASURED, domains=())
        config = {"seed": None, "moe": {"n_experts": n_experts, "top_k": top_k}}
        run = Run.create(
            runs_dir=self.directory.parent,
            name=self.directory.name,
            exact=True,
            record={**self._record(), "config": config},
            tables={name: columns.names(table) for name, table in tables.items()},
        )
        run.event("start")
        return run

    def _record(self) -> dict[str, Any]:
        """run.json, but for what the store adds."""
        return {
            **machine.describe(self._device),
            "kind": records.MONITOR,
            **self._about,
            "seed": None,
            "threads": torch.get_num_threads(),
            "device": self._device.type,
            "command": machine.command(),
            "data": {"fingerprint": None, "domains": [], "ladder": []},
        }

    def _window(self, layer: int, reading: Reading) -> DeadWindow:
        new = DeadWindow(len(reading.counts), sum(reading.counts))
        return self._windows.setdefault(layer, new)

    def _watch(self, layer: int, reading: Reading) -> LoadWatch:
        return self._watches.setdefault(layer, LoadWatch(reading.top_k))

    def _write_timing(self, run: Run, tokens: int) -> None:
        step_s = time.perf_counter() - self._last
        self._elapsed += step_s
        row = {
            "step": self.step,
            "elapsed_s": self._elapsed,
            "step_ms": 1000 * step_s,
            "tokens_per_s": tokens / step_s,
            "memory_mb": machine.peak_memory_mb(self._device),
        }
        run.append("timing", row)
        self.restart_clock()


def _tokens(readings: Mapping[int, Reading]) -> int:
    """Of one layer: all are given the same."""
    reading = next(iter(readings.values()))
    return sum(reading.counts) // reading.top_k


def _one_width(readings: Mapping[int, Reading], names: Mapping[str, str]) -> tuple[int, int]:
    """Experts and experts per token, which must be the same in all layers: a table has one width."""
    widths = {layer: (len(r.counts), r.top_k) for layer, r in readings.items()}
    first, *others = sorted(set(widths.values()))
    if others:
        found = ", ".join(f"{names[str(i)]} has E={e}, k={k}" for i, (e, k) in widths.items())
        raise ConfigError(
            f"the layers differ in their experts, and a run has one width: {found}",
            help="record each kind in a run of its own: routers=r'…' chooses modules by name",
        )
    return first
