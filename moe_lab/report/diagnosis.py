"""What the loads of a run say: per layer a verdict, and the course of n_eff that it rests on."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from moe_lab import metrics

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Course:
    """One layer's way through a run; a step that was not seen is None."""

    layer: int
    verdict: metrics.Verdict | None  # None: no training step yet
    n_experts: int
    start: float | None  # n_eff of the untrained model
    lowest: float | None  # n_eff of a training step
    lowest_step: int | None
    end: float | None  # n_eff at the last evaluation
    onsets: tuple[int, ...] = ()  # first step of each collapse
    recoveries: tuple[int, ...] = ()

    def sentence(self) -> str:
        """The course in words."""
        if self.lowest is None:
            return f"layer {self.layer}: no training step yet"
        words = [f"layer {self.layer} {self.verdict}: n_eff"]
        if self.start is not None:
            words.append(f"{self.start:.1f} of {self.n_experts} at step 0,")
        words.append(f"lowest {self.lowest:.1f} at step {self.lowest_step}")
        if self.end is not None:
            words.append(f"and {self.end:.1f} at the last evaluation")
        return " ".join(words) + self._collapse()

    def _collapse(self) -> str:
        if not self.onsets:
            return ""
        last = self.onsets[-1]
        origin = "was there from the start" if last <= 1 else f"came in training, at step {last}"
        ended = len(self.recoveries) == len(self.onsets)
        end = f" and was over at step {self.recoveries[-1]}" if ended else ""
        return f"; the collapse {origin}{end}"


def courses(utilization: "pd.DataFrame", cv: "pd.DataFrame", top_k: int) -> list[Course]:
    """One Course per MoE layer, replayed from the rows of utilization.csv and cv.csv."""
    loads = utilization[utilization["split"] == "train"]
    return [
        _course(int(layer), loads[loads["layer"] == layer], cv[cv["layer"] == layer], top_k)
        for layer in sorted(cv["layer"].unique())
    ]


def _course(layer: int, loads: "pd.DataFrame", cv: "pd.DataFrame", top_k: int) -> Course:
    experts = [name for name in loads.columns if name.startswith("expert_")]
    watch = metrics.LoadWatch(top_k)
    for step, load in zip(loads["step"].tolist(), loads[experts].to_numpy(), strict=True):
        watch.update(step, load)
    evaluated, trained = cv[cv["split"] == "eval"], cv[cv["split"] == "train"]
    untrained = evaluated[evaluated["step"] == 0]["n_eff"]
    lowest = int(trained["n_eff"].to_numpy().argmin()) if len(trained) else None
    return Course(
        layer=layer,
        verdict=watch.verdict() if len(loads) else None,
        n_experts=len(experts),
        start=float(untrained.iloc[0]) if len(untrained) else None,
        lowest=None if lowest is None else float(trained["n_eff"].iloc[lowest]),
        lowest_step=None if lowest is None else int(trained["step"].iloc[lowest]),
        end=float(evaluated["n_eff"].iloc[-1]) if len(evaluated) else None,
        onsets=tuple(watch.onsets),
        recoveries=tuple(watch.recoveries),
    )


def worst(found: list[Course]) -> Course | None:
    """The layer of the gravest verdict; among equals the one that ends, or else got, lowest."""
    seen = [course for course in found if _last(course) is not None]
    return max(seen, key=lambda course: (_gravity(course), -(_last(course) or 0)), default=None)


def _last(course: Course) -> float | None:
    return course.lowest if course.end is None else course.end


def _gravity(course: Course) -> int:
    return -1 if course.verdict is None else metrics.GRAVITY.index(course.verdict)
