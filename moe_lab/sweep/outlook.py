"""A plan as `--dry-run` shows it: every point, what its runs will take, and when all would be done."""

from collections.abc import Iterator

from moe_lab.report.pages import Note, Part, Sheet
from moe_lab.report.sweep_pages import counted_as
from moe_lab.sweep.grid import Grid
from moe_lab.sweep.naming import labels, word
from moe_lab.sweep.probe import costs


def parts(grid: Grid, jobs: int | None) -> Iterator[Part]:
    """jobs: runs at a time, where that is known. A few steps of each size of model are trained, and forgotten."""
    plan = grid.plan
    each = costs(grid.configs)
    yield Note(
        f"{grid.name}: {counted_as(plan.points, 'point')} x {counted_as(plan.seeds, 'seed')} "
        f"on {grid.base.config.name}",
        heading=True,
    )
    names = labels(plan.keys)
    yield Sheet(
        ("point", *names.values(), "parameters", "tokens of a run", "minutes of a run"),
        tuple(
            (
                point.name,
                *(
                    word(key, point.settings[key]) for key in plan.keys
                ),  # a source brings more settings
                f"{cost.parameters:,}",
                f"{cost.tokens:,}",
                cost.seconds / 60,
            )
            for point, cost in zip(plan.points, each, strict=True)
        ),
    )
    seconds = sum(cost.seconds for cost in each) * len(plan.seeds)
    tokens = sum(cost.tokens for cost in each) * len(plan.seeds)
    at_a_time = f"{jobs or 1} at a time, about {seconds / (jobs or 1) / 60:.1f} minutes"
    yield Note(
        f"{len(plan.runs)} runs, {tokens:,} tokens; {at_a_time} on this machine, "
        "as estimated from a few steps. Nothing was run or written."
    )
