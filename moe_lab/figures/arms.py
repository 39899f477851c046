"""What pictures of several runs compare: arms, each the runs of one choice of settings over their seeds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from moe_lab import escape
from moe_lab.errors import ArtefactError
from moe_lab.figures.series import Series
from moe_lab.figures.subject import Subject
from moe_lab.frames import RunFrames
from moe_lab.metrics import GRAVITY
from moe_lab.report import compare, replicates
from moe_lab.report.outcomes import Glance, glances
from moe_lab.report.render import cell
from moe_lab.report.sweep_pages import setting, short_names
from moe_lab.sweep_frames import SweepFrames

GRID = 6  # arms: more of them, of several settings, are drawn in a panel per value of the later settings
NAMED = 2  # settings that tell single runs apart; of more their names do
SAID = 3  # runs that are named as left out


@dataclass(frozen=True)
class Replicate:
    """One run of an arm."""

    name: str
    seed: int | None  # unknown to a monitor
    outcomes: Mapping[str, Any]  # by OUTCOMES; None where it has none
    frames: RunFrames


@dataclass(frozen=True)
class Arm:
    """Runs that differ in their seed alone."""

    point: str  # its name
    settings: Mapping[str, Any]  # those in which arms differ, dotted
    words: Mapping[str, str]  # the same as they are shown
    label: str  # all of them in one line
    series: str  # what its colour and dash stand for
    panel: str  # the panel it is drawn in; empty if there is one
    runs: tuple[Replicate, ...]  # none: no seed has finished


@dataclass(frozen=True)
class Arms:
    """All that is compared."""

    keys: tuple[str, ...]  # in which arms differ, dotted; none: arms are called by their runs
    arms: tuple[Arm, ...]
    baseline: str  # the point that others are compared with
    loss: str  # gap, or lm_loss where a run does not know its gap
    left_out: tuple[str, ...] = ()  # runs that are not drawn

    @property
    def runs(self) -> list[tuple[Arm, Replicate]]:
        """Every run with its arm."""
        return [(arm, run) for arm in self.arms for run in arm.runs]

    @property
    def title(self) -> str:
        """What labels are values of; empty if they say it themselves."""
        return short_names(self.keys)[self.keys[0]] if len(self.keys) == 1 else ""

    @cached_property
    def series(self) -> Series:
        """Colours and dashes by `Arm.series`."""
        labels = tuple(dict.fromkeys(arm.series for arm in self.arms))
        first = [arm.settings.get(key) for arm in self.arms for key in self.keys[:1]]
        is_scale = self.is_grid or len(self.keys) == 1
        title = short_names(self.keys)[self.keys[0]] if is_scale else ""
        return Series(labels, title, ordered=is_scale and all(map(is_number, first)))

    @property
    def is_single(self) -> bool:
        """Whether no arm has more than one run."""
        return all(len(arm.runs) < 2 for arm in self.arms)

    @property
    def is_grid(self) -> bool:
        """Whether arms are drawn in several panels."""
        return any(arm.panel for arm in self.arms)

    @property
    def reading(self) -> str:
        """How many seeds there are, and what is not drawn: the end of a caption."""
        numbers = sorted({len(arm.runs) for arm in self.arms})
        words = "One seed" if numbers == [1] else f"{' to '.join(map(str, _ends(numbers)))} seeds"
        return f"{words} per arm.{self._missing}"

    @property
    def _missing(self) -> str:
        if not self.left_out:
            return ""
        named = ", ".join(self.left_out[:SAID])
        more = f" and {len(self.left_out) - SAID} more" if len(self.left_out) > SAID else ""
        return f" Left out, as they have not finished or cannot be read: {named}{more}."

    def of(self, keep: Callable[[Arm], bool]) -> tuple[Arm, ...]:
        """Some of the arms."""
        return tuple(arm for arm in self.arms if keep(arm))


def is_number(value: Any) -> bool:
    """Whether a setting is one; a truth value is none."""
    return type(value) in (int, float)


def shown(key: str, value: Any) -> str:
    """A setting as tables have it."""
    return cell(setting(key, value))


def of_sweep(sweep: SweepFrames) -> Arms:
    """The points of a sweep with their finished runs. One whose tables are damaged is left out."""
    found = sweep.analysis
    kept: dict[str, list[Replicate]] = {row.point: [] for row in found.points}
    left_out = []
    for run in found.runs:
        if run.point not in kept:  # the tuning rule's own
            continue
        frames = _readable(sweep, run.name) if run.state == "finished" else None
        if frames is None:
            left_out.append(run.name)
        else:
            kept[run.point].append(Replicate(run.name, run.seed, run.outcomes, frames))
    settings = {row.point: row.settings for row in found.points}
    arms = labelled(found.keys, settings, {point: tuple(runs) for point, runs in kept.items()})
    return Arms(found.keys, arms, found.baseline, found.loss, tuple(left_out))


def _readable(sweep: SweepFrames, name: str) -> RunFrames | None:
    try:
        frames = sweep.run(name)
        _ = frames.steps, frames.eval, frames.config
    except ArtefactError:  # one bad file must not hide the other runs
        return None
    return frames


def of_runs(subjects: Sequence[Subject]) -> Arms:
    """Given runs by the settings in which they differ, or each by its name where seeds are not what is repeated.

    Raises ArtefactError if a file of one is corrupt.
    """
    by_directory = {subject.frames.directory: subject for subject in subjects}
    seen = glances(list(by_directory))
    keys, groups = _replicated(seen) if replicates.are_replicated(seen) else _single(seen)
    drawn = {glance.directory for _, group in groups.values() for glance in group}
    runs = {
        point: tuple(_replicate(glance, by_directory[glance.directory]) for glance in group)
        for point, (_, group) in groups.items()
    }
    arms = labelled(keys, {point: settings for point, (settings, _) in groups.items()}, runs)
    loss = "gap" if all(glance.outcomes["gap"] is not None for glance in seen) else "lm_loss"
    left_out = tuple(s.name for s in subjects if s.frames.directory not in drawn)
    return Arms(keys, arms, next(iter(groups)), loss, left_out)


Groups = dict[str, tuple[dict[str, Any], list[Glance]]]  # settings and runs by the arm's name


def _replicated(seen: Sequence[Glance]) -> tuple[tuple[str, ...], Groups]:
    asked = {key: row for key, row in compare.differences(seen).items() if key != "seed"}
    groups: Groups = {}
    for label, arm in replicates.arms(seen).items():
        place = seen.index(next(iter(arm.values())))
        groups[", ".join(label) or "all"] = (
            {key: row[place] for key, row in asked.items()},
            list(arm.values()),
        )
    return tuple(asked), groups


def _single(seen: Sequence[Glance]) -> tuple[tuple[str, ...], Groups]:
    asked = compare.differences(seen)
    labels = {tuple(map(str, values)) for values in zip(*asked.values(), strict=True)}
    if not 0 < len(asked) <= NAMED or len(labels) < len(seen):
        asked = {}
    names = [glance.name for glance in seen]
    return tuple(asked), {
        glance.name if names.count(glance.name) == 1 else str(glance.directory): (
            {key: row[place] for key, row in asked.items()},
            [glance],
        )
        for place, glance in enumerate(seen)
    }


def _replicate(glance: Glance, subject: Subject) -> Replicate:
    return Replicate(subject.name, glance.seed, glance.outcomes, subject.frames)


def labelled(
    keys: Sequence[str],
    settings: Mapping[str, Mapping[str, Any]],
    runs: Mapping[str, tuple[Replicate, ...]],
) -> tuple[Arm, ...]:
    """Arms in the order given; those of one numeric setting in its order."""
    points = list(settings)
    if len(keys) == 1 and all(is_number(settings[point][keys[0]]) for point in points):
        points.sort(key=lambda point: float(settings[point][keys[0]]))
    is_grid = len(keys) > 1 and len(points) > GRID
    return tuple(_arm(point, keys, settings[point], runs[point], is_grid) for point in points)


def _arm(
    point: str,
    keys: Sequence[str],
    settings: Mapping[str, Any],
    runs: tuple[Replicate, ...],
    is_grid: bool,
) -> Arm:
    names = short_names(keys)
    words = {key: shown(key, settings[key]) for key in keys}
    told = [f"{names[key]} {value}" for key, value in words.items()]
    label = (words[keys[0]] if len(keys) == 1 else ", ".join(told)) or escape.line(point)
    series, panel = (words[keys[0]], ", ".join(told[1:])) if is_grid else (label, "")
    return Arm(point, settings, words, label, series, panel, runs)


def _ends(numbers: Sequence[int]) -> list[int]:
    return sorted({*numbers[:1], *numbers[-1:]})


def pair(arms: Arms) -> tuple[Subject, Subject] | None:
    """The gravest collapse, and the healthiest run to hold against it: of its seed where that is as healthy.

    None if no run collapsed, or none did better.
    """
    runs = [run for _, run in arms.runs if run.outcomes["verdict"] is not None]
    collapsed = [run for run in runs if run.outcomes["verdict"] == "collapsed"]
    better = [run for run in runs if run.outcomes["verdict"] != "collapsed"]
    if not collapsed or not better:
        return None
    worst = min(collapsed, key=lambda run: _known(run, "n_eff"))
    best = min(better, key=lambda run: _health(run, arms.loss, worst.seed))
    return Subject(worst.frames, worst.name), Subject(best.frames, best.name)


def _health(run: Replicate, loss: str, seed: int | None) -> tuple[int, bool, float]:
    return GRAVITY.index(run.outcomes["verdict"]), run.seed != seed, _known(run, loss)


def _known(run: Replicate, name: str) -> float:
    value = run.outcomes[name]
    return float("inf") if value is None else float(value)
