"""Tables of training steps: side by side with others, by number of experts, and balanced against collapsed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import host
import tables
from clock import CPU, WALL, Block, Effort, in_turn, ratio, spread
from ours import DEFAULTS, Loop, Settings, experiment
from peers import Peer, mixtral, mixture_of_experts, olmoe, st_moe
from shapes import SMALL, Shape

OURS = GELU, SWIGLU = "**moe-lab, GELU**", "**moe-lab, SwiGLU**"
PRODUCT = "product"
Times = Mapping[str, list[float]]


@dataclass(frozen=True)
class Contender:
    """A peer, and which of our models has experts of its kind."""

    build: Callable[[Shape], Peer]
    like: str
    drops: bool = False
    slow: bool = False  # left out where it would take minutes


PEERS = {
    "HF Mixtral, grouped_mm": Contender(mixtral, SWIGLU),
    "HF OLMoE, grouped_mm": Contender(olmoe, SWIGLU),
    "HF Mixtral, eager": Contender(partial(mixtral, implementation="eager"), SWIGLU, slow=True),
    "st-moe-pytorch": Contender(st_moe, SWIGLU, drops=True),
    "mixture-of-experts": Contender(mixture_of_experts, GELU, drops=True),
}


def gated(shape: Shape) -> Settings:
    """Experts of three matrices and the same work."""
    return {"activation": "swiglu", "d_expert": shape.d_gated}


def ours(shape: Shape, folder: Path) -> dict[str, Loop]:
    """Our loop with each kind of expert."""
    settings = {GELU: DEFAULTS, SWIGLU: gated(shape)}
    return {name: Loop(experiment(shape, given), folder) for name, given in settings.items()}


def race(shape: Shape, threads: int, effort: Effort, folder: Path, *, slow: bool) -> Times:
    """Everyone's seconds per step: of process CPU time with one thread, of wall time with more."""
    found: dict[str, list[float]] = {}
    for _ in range(effort.builds):
        for name, seconds in _heat(shape, threads, effort, folder, slow=slow).items():
            found.setdefault(name, []).extend(seconds)
    return found


def _heat(shape: Shape, threads: int, effort: Effort, folder: Path, *, slow: bool) -> Times:
    chosen = {name: peer for name, peer in PEERS.items() if slow or not peer.slow}
    runners = ours(shape, folder) | {name: peer.build(shape) for name, peer in chosen.items()}
    clock = CPU if threads == 1 else WALL
    blocks: dict[str, Block] = {
        name: partial(runner.block, effort.steps, threads, clock)
        for name, runner in runners.items()
    }
    found = in_turn(blocks | {PRODUCT: partial(host.product, threads)}, effort.rounds)
    for runner in runners.values():
        runner.close()
    return found


def beside_peers(shape: Shape, threads: int, effort: Effort, folder: Path, *, slow: bool) -> None:
    """One size, one number of threads."""
    times = race(shape, threads, effort, folder, slow=slow)
    clock = "process CPU time" if threads == 1 else "wall time"
    tables.title(f"{shape.name}, {threads} thread{'s' * (threads > 1)} ({clock})")
    rate = host.PRODUCT_FLOPS / min(times[PRODUCT])
    tables.note(
        f"{shape}; {effort}. The product of two 2048 × 2048 matrices runs at "
        f"{rate / 1e9:.0f} GFLOP/s."
    )
    header = ("", "drops", "ms", "spread", "tokens/s", "of that rate", "moe-lab is")
    tables.table(
        header, [_line(name, times, shape, rate) for name in (*OURS, *PEERS) if name in times]
    )


def _line(name: str, times: Times, shape: Shape, rate: float) -> Sequence[object]:
    seconds = median(times[name])
    peer = PEERS.get(name)
    return (
        name,
        "yes" if peer and peer.drops else "",
        f"{1000 * seconds:.1f}",
        f"{spread(times[name]):.0%}",
        f"{shape.tokens / seconds:,.0f}",
        f"{shape.flops / seconds / rate:.0%}",
        f"{ratio(times[name], times[peer.like]):.2f}×" if peer else "",
    )


def by_experts(numbers: Sequence[int], effort: Effort, folder: Path) -> None:
    """Tokens per second of the small model at fixed active work, one thread."""
    found = {n: race(SMALL.experts(n), 1, effort, folder, slow=True) for n in numbers}
    tables.title("Number of experts at fixed active work (small, 1 thread, process CPU time)")
    tables.note(f"{effort}; in brackets: moe-lab is.")
    header = ("tokens/s", *(f"E={n}" for n in numbers), "time of the last / the first")
    names = [name for name in (*OURS, *PEERS) if name in found[numbers[0]]]
    tables.table(header, [_by_experts(name, found) for name in names])


def _by_experts(name: str, found: Mapping[int, Times]) -> Sequence[object]:
    peer = PEERS.get(name)
    cells = []
    for times in found.values():
        behind = f" ({ratio(times[name], times[peer.like]):.2f}×)" if peer else ""
        cells.append(f"{SMALL.tokens / median(times[name]):,.0f}{behind}")
    first, *_, last = (median(times[name]) for times in found.values())
    return (name, *cells, f"{last / first:.2f}×")
