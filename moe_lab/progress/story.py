"""What is known of a run so far: its facts, its last step, and what all its steps together say."""

from collections import deque

from moe_lab.metrics import LoadWatch, Verdict
from moe_lab.progress.facts import Facts, Step
from moe_lab.progress.sparks import Series

RECENT = (
    100  # logged steps over which the pace is taken: more than there are between two evaluations
)


class Pace:
    """How long a step takes: over the last RECENT steps that were told, evaluations included."""

    def __init__(self) -> None:
        self._times: deque[tuple[int, float]] = deque(maxlen=RECENT)

    def add(self, step: int, elapsed_s: float) -> None:
        """A step is done; elapsed_s: training time up to it."""
        self._times.append((step, elapsed_s))

    @property
    def elapsed_s(self) -> float:
        """Training time up to the last step."""
        return self._times[-1][1]

    @property
    def step_s(self) -> float:
        """Seconds per step; over the whole run as long as one step was told."""
        (first, began), (last, ended) = self._times[0], self._times[-1]
        return (ended - began) / (last - first) if last > first else ended / last


class Story:
    """A run as far as it was told. Verdicts are of the steps that were told, in their order."""

    def __init__(self, facts: Facts, step: int = 0):
        self.facts = facts
        self.result: Step | None = None
        self.held_out: tuple[int, float] | None = None  # step and loss of the last evaluation
        self.pace = Pace()
        self.loss, self.cv = (
            Series(),
            Series(),
        )  # the loss that is optimised, and cv of the worst layer
        self._before = step
        self._watches: dict[int, LoadWatch] = {}

    def step(self, result: Step, elapsed_s: float) -> None:
        """A step is done; elapsed_s: training time up to it."""
        self.result = result
        self.pace.add(result.step, elapsed_s)
        self.loss.add(result.lm_loss + result.aux_loss)
        for layer, reading in result.layers.items():
            watch = self._watches.setdefault(layer, LoadWatch(reading.top_k))
            watch.update(result.step, reading.load)
        if result.layers:
            self.cv.add(max(reading.cv for reading in result.layers.values()))

    def evaluated(self, step: int, lm_loss: float) -> None:
        """The held-out loss after a step."""
        self.held_out = step, lm_loss

    @property
    def steps_done(self) -> int:
        """The last step that is known of."""
        return self.result.step if self.result else self._before

    @property
    def verdicts(self) -> dict[int, Verdict]:
        """By MoE layer."""
        return {layer: watch.verdict() for layer, watch in self._watches.items()}
