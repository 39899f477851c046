"""What the JSON files of a run hold, as far as a report relies on it. Keys that are not named here are let through."""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from moe_lab.config.keys import leaves
from moe_lab.errors import ArtefactError
from moe_lab.metrics import Verdict
from moe_lab.registry import BALANCERS, ROUTERS, SOURCES, Registry

MONITOR = "monitor"  # kind of a run of somebody else's loop
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"  # of a point: part of the paths of its runs
JOB = r"^[A-Za-z0-9][A-Za-z0-9._:/,+@\[\]%-]{0,199}$"  # of an engine's job: never an option of a command


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


def _known(registry: Registry) -> Callable[[str], str]:
    names = registry.names()

    def check(name: str) -> str:
        if name not in names:
            raise ValueError(f"this moe-lab has no {registry.kind} {name[:80]!r}")
        return name

    return check


def _zoned(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("a time without its zone")
    return text


class _Rung(_Part):
    rung: str
    loss: float
    error: float


class _Data(_Part):
    fingerprint: str | None
    domains: list[str]
    ladder: list[_Rung]


class _Role(_Part):
    comparable: str
    comparable_dense: str
    gate: str
    reference: str | None


class _Router(_Part):
    name: Annotated[str, AfterValidator(_known(ROUTERS))]


class _Balance(_Part):
    name: Annotated[str, AfterValidator(_known(BALANCERS))]


class _Moe(_Part):
    n_experts: Annotated[int, Field(ge=2, le=100_000)]
    top_k: Annotated[int, Field(ge=1, le=1024)]
    alpha: float | None = None  # this one and the next two: unknown to a monitor
    router: _Router = Field(default_factory=lambda: _Router(name="top_k"))
    balance: _Balance = Field(default_factory=lambda: _Balance(name="switch"))


class _Train(_Part):
    batch_size: int
    accumulate: int
    threads: int


class _Source(_Part):
    source: Annotated[str, AfterValidator(_known(SOURCES))]
    seq_len: int


class Settings(_Part):
    """A run's settings, in run.json."""

    seed: int | None
    moe: _Moe
    train: _Train | None = None  # this one and the next: unknown to a monitor
    data: _Source | None = None

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        if isinstance(value, dict) and any("." in key for key in value):
            raise ValueError("a dot in the name of a section: dotted names are made of these")
        return value


class Record(_Part):
    """run.json."""

    id: str
    kind: str | None = None
    created: Annotated[str, AfterValidator(_zoned)]  # ISO 8601
    data: _Data
    role: _Role | None = None
    steps: int | None = None
    config: Settings | None = None
    seed: int | None
    device: str
    threads: int
    world_size: Annotated[int, Field(ge=1)] = 1  # ranks; earlier versions had one
    versions: dict[str, Any]
    host: dict[str, Any]
    git: dict[str, Any] | None
    parameters: dict[str, Any]
    command: list[str]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.config and self.kind != MONITOR and not (self.config.train and self.config.data):
            raise ValueError("its config lacks train or data")
        return self


class Status(_Part):
    """status.json."""

    state: Literal["running", "finished", "diverged", "failed", "stopped"]
    step: Annotated[int, Field(ge=0)]


class Attempt(_Part):
    """The latest attempt of a run of a sweep."""

    attempt: Annotated[int, Field(ge=1)]
    job: Annotated[str, Field(pattern=JOB)] | None


class _Layer(_Part):
    verdict: Verdict | None


class _Outcomes(_Part):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float | None]
    verdict: Verdict | None = None


class Summary(_Part):
    """summary.json."""

    steps: Annotated[int, Field(ge=0)]
    layers: dict[str, _Layer]
    outcomes: _Outcomes | None = None


def _setting(key: str) -> str:
    if key not in leaves():
        raise ValueError(f"there is no setting {key[:80]!r}")
    return key


# settings that a report takes apart
_SHAPES: dict[str, TypeAdapter[Any]] = {
    "moe.router": TypeAdapter(_Router),
    "moe.balance": TypeAdapter(_Balance),
    "data.path": TypeAdapter(str | dict[str, str] | None),
}


class _Point(_Part):
    name: Annotated[str, Field(pattern=NAME)]
    settings: dict[str, Any]

    @field_validator("settings")
    @classmethod
    def _fits(cls, settings: dict[str, Any]) -> dict[str, Any]:
        for key, kind in _SHAPES.items():
            if key in settings:
                kind.validate_python(settings[key], strict=True)
        return settings


class _Plan(_Part):
    keys: list[Annotated[str, AfterValidator(_setting)]]
    points: Annotated[list[_Point], Field(min_length=1)]
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    baseline: str
    rule: bool

    @model_validator(mode="after")
    def _fits(self) -> Self:
        names = {point.name for point in self.points}
        if len(names) < len(self.points) or self.baseline not in names:
            raise ValueError("its points have no names of their own, or not the baseline's")
        if any(point.settings.keys() != set(self.keys) for point in self.points):
            raise ValueError("a point has other settings than those that are swept")
        return self


class Sweep(_Part):
    """sweep.json."""

    created: Annotated[str, AfterValidator(_zoned)]
    plan: _Plan


def check(kind: type[BaseModel], value: Mapping[str, Any], path: Path) -> None:
    """Raises ArtefactError, naming the key, if a file's content is not of its kind."""
    try:
        kind.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise ArtefactError(f"{path} is corrupt: {key[:200]}: {first['msg']}") from error
