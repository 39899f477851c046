"""A config file and overrides to checked settings that know where each value came from."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from moe_lab.config import dump, files, messages, rules
from moe_lab.config.data import Text
from moe_lab.config.files import ConfigFile
from moe_lab.config.findings import Finding
from moe_lab.config.overrides import apply, values
from moe_lab.config.schema import Config
from moe_lab.config.source import Node, located
from moe_lab.config.text import text_refusals, text_warnings
from moe_lab.errors import ConfigError, Place, Problem

NOTHING = Node({}, Place(""), Place(""))  # what a run without a config file is given
SWEEP = Place("sweep")  # the origin of settings that a plan holds
NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Resolved:
    """All settings of a run, with the origin of each."""

    config: Config
    origins: dict[str, str]  # of every leaf: `default`, `configs/x.yaml:12` or `command line`
    raw: bytes  # the user's file as it is; empty without one
    warnings: tuple[Problem, ...]
    tree: Node  # what was written, with places

    def locate(self, path: str) -> Place | None:
        """Where the key of a dotted path was written; None for a default."""
        return _locate(self.tree, path)

    def dump(self) -> str:
        """YAML with every value and its origin; loads back to an equal Config."""
        return dump.to_yaml(self.config, self.origins)


def load(
    path: str | Path | None,
    overrides: Sequence[str] = (),
    *,
    settings: Mapping[str, Any] = NONE,
    data_exists: bool = True,
) -> Resolved:
    """Read, merge and check a config; without a path, all defaults.

    overrides: `key=value`. settings: by dotted path, as `Config.model_dump(mode="json")` has them; they win.
    data_exists=False does not look at the data, for a finished run whose text may be gone.
    Raises ConfigError with every problem of the files and the overrides, in their order.
    """
    problems: list[Problem] = []
    file = read(path, problems)
    given = values(overrides, problems)
    given |= {key: located(value, SWEEP) for key, value in settings.items()}
    return resolve(file, given, problems, data_exists=data_exists)


def read(
    path: str | Path | None, problems: list[Problem], named: Place | None = None
) -> ConfigFile:
    """A config file and what it extends, unchecked; without a path, one that says nothing.

    named: where that was, if in another file.
    """
    return ConfigFile(b"", NOTHING, ()) if path is None else files.read(Path(path), problems, named)


def resolve(
    file: ConfigFile,
    given: Mapping[str, Node] = NONE,
    problems: Sequence[Problem] = (),
    *,
    data_exists: bool = True,
) -> Resolved:
    """Check a config with values by dotted path on top, in their normal form.

    Raises ConfigError with the problems that are known before and its own.
    """
    problems = list(problems)
    tree = apply(file.tree or NOTHING, given)
    config = _validated(tree, problems) if file.tree else None
    if config:
        problems += _placed(_contradictions(config, data_exists), tree)
    if config is None or problems:
        raise ConfigError.of(_in_order(problems, file.sources))
    warnings = tuple(_placed(_surprises(config, data_exists), tree))
    return Resolved(config, dump.origins(config, tree), file.raw, warnings, tree)


def _validated(tree: Node, problems: list[Problem]) -> Config | None:
    try:
        return Config.model_validate(tree.plain())
    except ValidationError as error:
        problems += (messages.problem(each, tree) for each in error.errors(include_url=False))
    return None


def _contradictions(config: Config, data_exists: bool) -> Iterator[Finding]:
    yield from rules.refusals(config)
    if data_exists and isinstance(config.data, Text):
        yield from text_refusals(config.data)


def _surprises(config: Config, data_exists: bool) -> Iterator[Finding]:
    yield from rules.warnings(config)
    if data_exists and isinstance(config.data, Text):
        yield from text_warnings(config.data)


def _placed(findings: Iterable[Finding], tree: Node) -> Iterator[Problem]:
    """Each at the first of its keys that was written; the help names the line of another."""
    for finding in findings:
        places = [place for key in finding.keys if (place := _locate(tree, key))]
        also = _locate(tree, finding.also)
        line = f" (line {also.line})" if also and also.line else ""
        remedy = finding.help and finding.help + line
        yield Problem(finding.message, places[0] if places else None, remedy)


def _locate(tree: Node, path: str) -> Place | None:
    node = tree.at(path.split("."))
    return node.key if node else None


def _in_order(problems: Iterable[Problem], sources: Sequence[str]) -> list[Problem]:
    """By file, the user's own before its parents, and line; the command line last."""

    def rank(problem: Problem) -> tuple[int, int, int]:
        place = problem.place or Place("")
        file = sources.index(place.source) if place.source in sources else len(sources)
        return file, place.line, place.column

    return sorted(problems, key=rank)
