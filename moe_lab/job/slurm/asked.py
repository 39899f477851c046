"""What a user asks of Slurm for each run: every value is checked here, before it comes near a batch script."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from moe_lab.errors import ConfigError, Problem

_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.,:+@/-]*"
_FORMS = {  # of a value, and how it is put to a user
    "partition": (_NAME, "names, as in cpu,long"),
    "account": (_NAME, "a name"),
    "qos": (_NAME, "a name"),
    "constraint": (r"[A-Za-z0-9_(\[][A-Za-z0-9_.,:&|*()\[\]-]*", "features, as in skylake|icelake"),
    "gres": (r"[A-Za-z0-9_][A-Za-z0-9_.,:/()-]*", "resources, as in gpu:a100:1"),
    "mem": (r"[0-9]+([KMGT]B?)?", "a size, as in 4GB"),
}
_TIME = re.compile(
    r"(?:(\d{1,5})-)?(\d{1,6}):(\d\d):(\d\d)", re.ASCII
)  # [days-]hours:minutes:seconds
_MINUTES = re.compile(r"\d{1,7}", re.ASCII)


@dataclass(frozen=True)
class Asked:
    """The limits of each job, and who pays for it where; None leaves it to the site."""

    minutes: int
    signal_before: int  # seconds before the limit of time
    site: Mapping[str, str]  # of _FORMS, those that were given


def asked(time: str, signal_before: int, site: Mapping[str, str | None]) -> Asked:
    """The options of a launcher, checked. Raises ConfigError with all that is wrong."""
    given = {key: value for key, value in site.items() if value is not None}
    problems = [
        Problem(f"--launcher-opt {key}={value}: expected {_FORMS[key][1]}")
        for key, value in given.items()
        if not re.fullmatch(_FORMS[key][0], value)
    ]
    found = minutes(time)
    if found is None:
        problems.append(
            Problem(
                f"--launcher-opt time={time}: expected minutes, HH:MM:SS or D-HH:MM:SS, from a minute on"
            )
        )
    elif 60 * found <= signal_before:
        problems.append(
            Problem(
                f"--launcher-opt signal_before={signal_before}: a run would be stopped as it begins, for "
                f"time={time} is {60 * found} seconds",
                help="ask for more time, or for the signal later: a save takes seconds",
            )
        )
    if problems:
        raise ConfigError.of(problems)
    return Asked(found or 0, signal_before, given)


def minutes(text: str) -> int | None:
    """A limit of time as Slurm writes it, in whole minutes as Slurm rounds it: up. None if it is none."""
    if _MINUTES.fullmatch(text):
        return int(text) or None
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    days, hours, rest, seconds = (int(part or 0) for part in match.groups())
    return -(-(86400 * days + 3600 * hours + 60 * rest + seconds) // 60) or None
