"""What a user can fix: located problems, rendered in one style, each kind with its exit code."""

from collections.abc import Sequence
from dataclasses import dataclass

COMMAND_LINE = "command line"  # the source of what no file holds
LONGEST = 1_000  # characters of a line that are printed
SHOWN = 20  # problems of one file that are printed; the rest is counted


@dataclass(frozen=True)
class Place:
    """A stretch of one line of a source: where a problem is pointed at."""

    source: str  # a file, or COMMAND_LINE
    line: int = 0  # from 1; 0: no line is known
    column: int = 0  # from 1
    text: str = ""  # the source line, without its newline
    width: int = 1  # characters to underline

    def render(self) -> str:
        """The arrow line and, where the line is known, the line itself with carets."""
        if not self.line:
            return f"  --> {self.source}" + (f": {self._line}" if self.text else "")
        gutter = " " * len(str(self.line))
        carets = " " * (self.column - 1) + "^" * max(1, self.width)
        return "\n".join(
            [
                f"  --> {self.source}:{self.line}:{self.column}",
                f" {gutter} |",
                f" {self.line} | {self._line}",
                f" {gutter} | {carets}",
            ]
        )

    @property
    def _line(self) -> str:
        """One `?` for each letter that is not shown as one, so that the carets stay in their place."""
        return "".join(letter if letter.isprintable() else "?" for letter in self.text)


@dataclass(frozen=True)
class Problem:
    """One thing to fix: what is wrong, where, and the remedy."""

    message: str
    place: Place | None = None
    help: str | None = None

    def render(self, kind: str = "error") -> str:
        """The problem as plain text, `error:` or `warning:` first and `help:` last."""
        lines = [f"{kind}: {self.message}"]
        if self.place:
            lines.append(self.place.render())
        if self.help:
            lines.append(f"  help: {self.help}")
        return "\n".join(map(_cut, "\n".join(lines).split("\n")))


def _cut(line: str) -> str:
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}… ({len(line)} characters)"


class MoeLabError(Exception):
    """An error that a user can fix; printed without traceback. Subclasses set the exit code."""

    exit_code = 1

    def __init__(self, message: str, *, help: str | None = None, place: Place | None = None):
        super().__init__(message)
        self._set_problems(Problem(message, place, help))

    def _set_problems(self, *problems: Problem) -> None:
        """All problems at once; a traceback shows them below the message of the first."""
        self.problems: Sequence[Problem] = problems
        self.__notes__ = self.render().splitlines()[1:]

    def render(self) -> str:
        """Every problem, at most SHOWN, then the count of the rest."""
        shown = [problem.render() for problem in self.problems[:SHOWN]]
        if (rest := len(self.problems) - SHOWN) > 0:
            shown.append(f"... and {rest} more")
        return "\n".join(shown)


class ConfigError(MoeLabError):
    """Usage, config or data: nothing was started and nothing was written."""

    exit_code = 2

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> "ConfigError":
        """One error that carries all problems at once, in the given order."""
        error = cls(problems[0].message)
        error._set_problems(*problems)
        return error


class StorageError(MoeLabError):
    """Disk, permission, a run directory in use."""

    exit_code = 4


class EngineError(MoeLabError):
    """What runs are made by cannot be reached, or has gone: Ray, Slurm, another rank."""

    exit_code = 4


class ArtefactError(MoeLabError):
    """A run directory or file that is corrupt, foreign or not a run at all."""

    exit_code = 5


class DivergedError(MoeLabError):
    """A loss or gradient that is not finite; it never reached the weights."""

    exit_code = 6


class OutOfMemoryError(MoeLabError):
    """The model or its batch does not fit."""

    exit_code = 8
