"""The page that `report --html` writes: verdict, tables and figures of runs or a sweep in one file, for any browser."""

from collections.abc import Sequence
from pathlib import Path

from moe_lab.page import vega

MARGIN = 0.01  # nats, as `report` has it


def build(directories: Sequence[Path], *, margin: float = MARGIN, times: bool = False) -> str:
    """The whole page about one run, several, or one sweep, as it is on disk now.

    margin, times: of a sweep, as for its table. Raises ArtefactError for what is no run or is damaged, ConfigError for
    a sweep beside others.
    """
    with vega.starting() as script:
        from moe_lab.page import runs, sweep  # meanwhile
        from moe_lab.store.sweep import only_sweep

        if found := only_sweep(directories):
            page = sweep.page(found, margin=margin, times=times)
        else:
            page = runs.page(directories)
        return page.html(script())
