"""What makes the runs of a sweep, from the command line: a launcher with its options, checked before it is imported."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from moe_lab import ranks
from moe_lab.errors import ConfigError, Problem
from moe_lab.registry import LAUNCHERS, Option

LauncherName = Annotated[
    str,
    typer.Option(
        "--launcher",
        metavar="|".join(LAUNCHERS.names()),
        help="What makes the runs of a sweep: processes here, tasks of a Ray cluster, or jobs of Slurm.",
    ),
]
LauncherOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--launcher-opt",
        metavar="KEY=VALUE",
        help="An option of the launcher, such as partition=long of slurm. Repeatable.",
        show_default=False,
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT|auto",
        help="Of ray: a cluster that is there; else one is started here, and stopped in the end.",
        show_default=False,
    ),
]


def launcher(
    name: str,
    options: Sequence[str] | None,
    address: str | None,
    *,
    jobs: str,
    per_gpu: int,
    plan: Any,
    base: Any,
) -> Any:
    """The launcher of that name; it is not open yet. Raises ConfigError for all that is wrong with its options."""
    _refuse_ranks()
    if name not in LAUNCHERS.names():
        known = ", ".join(LAUNCHERS.names())
        raise ConfigError(f"--launcher {name}: there is no such launcher", help=f"one of {known}")
    if jobs != "auto" and not (jobs.isdecimal() and int(jobs) > 0):
        raise ConfigError(f"--jobs {jobs}: expected auto or a number from 1")
    given = [*(options or []), *([] if address is None else [f"address={address}"])]
    checked = _checked(name, given)
    from moe_lab.launch.base import Demand

    demand = Demand(
        threads=plan.most_threads(base.train.threads),
        device=base.train.device,
        jobs=None if jobs == "auto" else int(jobs),
        per_gpu=per_gpu,
    )
    return LAUNCHERS.load(name)(demand, **checked)


def _refuse_ranks() -> None:
    """A sweep is driven by one process."""
    if ranks.launched():
        raise ConfigError(
            "a sweep is driven by one process, and torchrun has started several",
            help="leave out torchrun; each run of a sweep is one process",
        )


def _checked(name: str, given: Sequence[str]) -> dict[str, Any]:
    known, found = LAUNCHERS.options(name), dict[str, Any]()
    problems = list[Problem]()
    for text in given:
        key, _, value = text.partition("=")
        if key not in known:
            listed = f"one of {', '.join(known)}" if known else f"{name} has none"
            problems.append(Problem(f"--launcher {name} has no option '{key}'", help=listed))
        elif key in found:
            problems.append(Problem(f"option '{key}' of the launcher is given twice"))
        else:
            found[key] = _value(known[key], text, value, problems)
    if problems:
        raise ConfigError.of(problems)
    return found


def _value(option: Option, text: str, value: str, problems: list[Problem]) -> Any:
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(option.type).validate_strings(value)
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Input ")
        problems.append(Problem(f"--launcher-opt {text}: {said}"))
        return None
