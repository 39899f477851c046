"""One drawing of a run: how far, how good, what each router does with its experts, and how it came there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import exp, log

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from moe_lab.progress.bars import ASCII, BLOCKS, number, table
from moe_lab.progress.canvas import minutes
from moe_lab.progress.story import Story

GAP = "   "  # between the parts of a line
SPARKS, LONGEST_SPARK = (
    12,
    40,
)  # characters of a course; for less than SPARKS the note is not beside it
LOWEST = 8  # lines of a terminal that has room for the courses and the note


@dataclass(frozen=True)
class View:
    """A run as far as its story goes, with at least one step. No line is wider than the terminal."""

    story: Story
    note: str = ""  # what a person can do
    over: bool = False  # whether nothing more will come

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """As many lines as the terminal has, but for the cursor's."""
        yield from islice(self._lines(options), max(1, options.max_height - 1))

    def _lines(self, options: ConsoleOptions) -> Iterator[Text]:
        """Two lines, a table of MoE layers, and what there is room for of the courses and the note."""
        result, width = self.story.result, options.max_width
        assert result is not None, "no step was told"
        glyphs = ASCII if options.ascii_only else BLOCKS
        foot = self._foot(width, glyphs) if options.max_height >= LOWEST else []
        yield _text(self._header(width, "~" if options.ascii_only else "…"), "bold")
        yield _text(self._losses(width))
        lines = options.max_height - 3 - len(foot)
        yield from table(result, self.story.verdicts, width=width, height=lines, glyphs=glyphs)
        yield from foot

    def _header(self, width: int, cut: str) -> str:
        """Whose run on the left, as much as fits, and how far it is on the right."""
        facts, right = self.story.facts, self._progress()
        seed = "" if facts.seed is None else f"  seed {facts.seed}"
        threads = "1 thread" if facts.threads == 1 else f"{facts.threads} threads"
        forms = (
            f"{facts.name}{seed}  {facts.device}, {threads}",
            f"{facts.name}{seed}",
            facts.name,
        )
        room = max(0, width - len(right) - 2)
        left = next((form for form in forms if len(form) <= room), "")
        if not left and room > 1:
            left = facts.name[: room - 1] + cut
        return f"{left:<{room}}  {right}" if left else right

    def _progress(self) -> str:
        step, steps, pace = self.story.steps_done, self.story.facts.steps, self.story.pace
        in_all = f"in {minutes(pace.elapsed_s)}"
        if steps is None:
            return f"step {step}  {in_all}"
        share = f"step {step}/{steps}  {100 * step // steps}%"
        if self.over or step == steps:
            return f"{share}  {in_all}"
        return f"{share}  eta {minutes(pace.step_s * (steps - step))}"

    def _losses(self, width: int) -> str:
        """What the last step and evaluation measured; where there is no room, the least needed is left out."""
        result = self.story.result
        assert result is not None
        lm, aux = result.lm_loss, result.aux_loss
        parts = [
            (0, f"loss {number(lm + aux, '.3f')}"),
            (4, f"(lm {number(lm, '.3f')} + aux {number(aux, '.3f')})"),
            *self._held_out(),
            (3, self._speed()),
            (5, f"grad {number(result.grad_norm, '.2f')}"),
        ]
        return _fitting(parts, width)

    def _held_out(self) -> Iterator[tuple[int, str]]:
        if self.story.held_out:
            step, loss = self.story.held_out
            yield 1, f"val {number(loss, '.3f')} @{step}"
            if self.story.facts.per_byte:
                yield 2, f"{number(loss / log(2), '.3f')} bits/byte"
            else:
                yield 2, f"ppl {number(exp(min(loss, 99.0)), '.4g')}"

    def _speed(self) -> str:
        tokens, step_s = self.story.facts.tokens_per_step, self.story.pace.step_s
        if tokens is None or step_s <= 0:
            return f"{1000 * step_s:.0f} ms/step"
        return f"{_rounded(tokens / step_s)} tok/s"

    def _foot(self, width: int, glyphs: str) -> list[Text]:
        """The courses of the worst cv and the loss, and the note beside them or, without room for it, below."""
        room = width - len(self.note) - len(GAP)
        if self.note and (courses := self._courses(room, glyphs, SPARKS)):
            return [_text(f"{courses:<{room}}{GAP}").append(self.note, "dim")]
        lines = [_text(self._courses(width, glyphs, 1)), _text(self.note, "dim")]
        return [line for line in lines if line]

    def _courses(self, width: int, glyphs: str, least: int) -> str:
        """Both courses between their first and last values; nothing if they would be shorter than `least`."""
        story = self.story
        named = [("worst cv", story.cv, 0.0), ("loss", story.loss, None)]
        known = [(name, *ends, series, low) for name, series, low in named if (ends := series.ends)]
        without = GAP.join(f"{name} {first:.2f}  {last:.2f}" for name, first, last, *_ in known)
        room = min(LONGEST_SPARK, (width - len(without)) // max(1, len(known)))
        if room < least:
            return ""
        return GAP.join(
            f"{name} {first:.2f} {series.drawn(room, glyphs[1:], lowest=low)} {last:.2f}"
            for name, first, last, series, low in known
        )


def _fitting(parts: Sequence[tuple[int, str]], width: int) -> str:
    """The parts in their order, each with its rank: while they are too long, that of the highest rank is left out."""
    left = list(parts)
    while len(line := GAP.join(text for _, text in left)) > width and len(left) > 1:
        left.remove(max(left))
    return line


def _rounded(value: float) -> str:
    """Three digits or more: 981, 41.2k, 1.23M."""
    size, unit = next(((s, u) for s, u in ((1e6, "M"), (1e3, "k")) if value >= s), (1.0, ""))
    scaled = value / size
    return f"{scaled:.{0 if scaled >= 100 else 1 if scaled >= 10 else 2}f}{unit}"


def _text(line: str, style: str = "") -> Text:
    return Text(line, style, no_wrap=True, overflow="crop")
