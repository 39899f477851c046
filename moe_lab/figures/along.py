"""The setting that measurements are drawn against, and how the other settings are told apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import altair as alt

from moe_lab.figures.arms import Arm, Arms, is_number, shown
from moe_lab.figures.axis import Doses
from moe_lab.figures.series import Series
from moe_lab.report.sweep_pages import short_names

ASIDE, MOST_ASIDE = (
    0.025,
    0.1,
)  # of the axis: between neighbours at one dose, and between the outermost


@dataclass(frozen=True)
class Along:
    """Arms laid out along one setting."""

    arms: Arms

    @cached_property
    def key(self) -> str | None:
        """The first numeric setting of several values, else the first one; None: arms are called by their runs."""
        return next(filter(self._is_dose, self.arms.keys), next(iter(self.arms.keys), None))

    @property
    def title(self) -> str:
        """The setting's short name; empty if there is none."""
        return short_names(self.arms.keys)[self.key] if self.key else ""

    @cached_property
    def doses(self) -> Doses | None:
        """The axis of a numeric setting; None of categories."""
        if self.key is None or not self._is_dose(self.key):
            return None
        return Doses(self.title, tuple(sorted({arm.settings[self.key] for arm in self.arms.arms})))

    @cached_property
    def categories(self) -> list[str]:
        """The words of the setting, in the order of the arms."""
        return list(dict.fromkeys(map(self._category, self.arms.arms)))

    @cached_property
    def look(self) -> Series:
        """Colours and shapes by `others`."""
        labels = tuple(dict.fromkeys(map(self.others, self.arms.arms)))
        names = [name for key, name in short_names(self.arms.keys).items() if key != self.key]
        return Series(labels, names[0] if len(names) == 1 else "", lines=False)

    @property
    def is_several(self) -> bool:
        """Whether there are several combinations of the other settings."""
        return len(self.look.labels) > 1

    def others(self, arm: Arm) -> str:
        """The other settings of an arm in words; empty where there are none."""
        return self.told(arm.settings)

    def told(self, settings: Mapping[str, Any]) -> str:
        """The same of settings that need not be all of an arm's."""
        names = short_names(self.arms.keys)
        words = [
            (names[key], shown(key, value)) for key, value in settings.items() if key != self.key
        ]
        return words[0][1] if len(words) == 1 else ", ".join(map(" ".join, words))

    def place(self, arm: Arm) -> dict[str, Any]:
        """Where an arm stands: at a category; or a place, and on which side of a broken axis."""
        if self.doses is None:
            return {"at": self._category(arm)}
        at = self.doses.places[arm.settings[str(self.key)]]
        is_left = self.doses.gap is not None and at < self.doses.gap
        return {"at": at + self._aside(arm), "side": is_left}

    def _aside(self, arm: Arm) -> float:
        """How far an arm stands beside its dose, so that intervals of several do not cover each other."""
        low, high = self.doses.ends if self.doses else (0.0, 0.0)
        labels = self.look.labels
        steps = labels.index(self.others(arm)) - (len(labels) - 1) / 2
        return steps * min(ASIDE, MOST_ASIDE / len(labels)) * (high - low)

    @property
    def channels(self) -> dict[str, Any]:
        """The position of a row by its `at`."""
        if self.doses is not None:
            return {"x": self.doses.x()}
        y = alt.Y("at:N", title=None, sort=self.categories)
        offset = {"yOffset": "series:N"} if self.is_several else {}
        return {"y": y.axis(labelLimit=160, ticks=False).scale(domain=self.categories), **offset}

    def _category(self, arm: Arm) -> str:
        return arm.label if self.key is None else arm.words[self.key]

    def _is_dose(self, key: str) -> bool:
        values = [arm.settings[key] for arm in self.arms.arms]
        return all(map(is_number, values)) and len(set(values)) > 1
