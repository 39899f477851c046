"""Training from Python: the same settings, checks, errors and files as on the command line."""

import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moe_lab import config, session
from moe_lab.config import keys
from moe_lab.frames import RunFrames, load_run
from moe_lab.progress import Silent

Settings = Mapping[str, Any]


def train(
    settings: str | os.PathLike[str] | Settings | None = None,
    *,
    runs_dir: str | os.PathLike[str] = "runs",
    name: str | None = None,
    **overrides: Any,
) -> RunFrames:
    """Train one run and return its tables; `os.fspath` of them is its directory.

    settings: a YAML file, or a mapping nested as in one; the keys of a mapping may be dotted paths, too.
    overrides: settings that win; a unique last part of a key is enough, as in `train("base.yaml", alpha=0.1)`.
    name: as `--name`: refused if the run exists. A name among the settings, or none, is numbered.

    Nothing is printed; what a config warns of is a UserWarning. Raises what the command line reports: ConfigError
    before anything is written, DivergedError after. A run stopped by a signal is saved, can be resumed, and raises
    KeyboardInterrupt.
    """
    path = None if settings is None or isinstance(settings, Mapping) else settings
    if name is not None:
        overrides["name"] = name
    below = _written(settings) if isinstance(settings, Mapping) else {}
    given = {**below, **_written(overrides)}
    resolved = config.load(None if path is None else Path(path), list(given.values()))
    for warning in resolved.warnings:
        warnings.warn(warning.render("warning"), stacklevel=2)
    outcome = session.train(
        resolved, runs_dir=Path(runs_dir), exact=name is not None, reporter=Silent()
    )
    if outcome.exit_code:
        raise KeyboardInterrupt(f"{outcome.directory} was stopped, and can be resumed")
    return load_run(outcome.directory)


def _written(settings: Settings, prefix: str = "") -> dict[str, str]:
    """Settings as `key=value`, as one would write them on the command line, by their full path."""
    written: dict[str, str] = {}
    for key, value in settings.items():
        path = keys.dotted(prefix, key)
        if isinstance(value, Mapping) and keys.is_section(path):
            written |= _written(value, path)
        else:
            text = os.fspath(value) if isinstance(value, str | os.PathLike) else json.dumps(value)
            meant = keys.named(path)
            written[meant[0] if len(meant) == 1 else path] = f"{path}={text}"
    return written
