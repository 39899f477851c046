"""What yaml makes of a text, within what a config may contain; its complaints in our words."""

import re
from collections.abc import Callable
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.events import AliasEvent, CollectionStartEvent

from moe_lab.errors import Place, Problem

Locate = Callable[[yaml.Mark, yaml.Mark], Place]  # start and end of a stretch of the text

MAX_DEPTH = 20
# The complement of what yaml calls printable, less line separators that editors do not count,
# direction overrides and byte order marks.
UNPRINTABLE = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202f-\u2065\u206a-\ud7ff"
    "\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
unprintable = UNPRINTABLE.search
ALIASES, ANCHORS = "aliases are not allowed", "anchors are not allowed"
TAGS = "tags are not allowed"
OPENED = {
    "while parsing a flow sequence": ("the list opened here is never closed", "close it with ]"),
    "while parsing a flow mapping": ("the mapping opened here is never closed", "close it with }"),
    "while scanning a quoted scalar": (
        "the quote opened here is never closed",
        "close it with the same quote, or remove it",
    ),
}


class _Loader(yaml.BaseLoader):
    """Composes nodes and stops at the first thing that a config may not contain."""

    def __init__(self, text: str):
        super().__init__(text)
        self.depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = super().peek_event()  # type: ignore[no-untyped-call]
        if refusal := _refusal(event, self.depth):
            raise ComposerError(None, None, refusal, event.start_mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _refusal(event: Any, depth: int) -> str | None:
    if isinstance(event, AliasEvent):
        return ALIASES
    if event.anchor is not None:
        return ANCHORS
    if event.tag is not None:
        tag = event.tag.replace("tag:yaml.org,2002:", "!!")
        return f'{TAGS} ("{tag}")'
    if depth >= MAX_DEPTH and isinstance(event, CollectionStartEvent):
        return f"nesting deeper than {MAX_DEPTH}"
    return None


def compose(text: str, locate: Locate, problems: list[Problem]) -> yaml.Node | None:
    """yaml's tree of the text's one document; what is wrong with it is added to `problems`."""
    if found := unprintable(text):
        problems.append(_control_character(text, found.start(), locate))
        return None
    loader = _Loader(text)
    try:
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        problems.append(_in_our_words(error, locate))
    except (ValueError, OverflowError):  # "\UFFFFFFFF", or a %YAML version of 5,000 digits
        mark = loader.get_mark()
        problems.append(Problem("a number or an escape here is out of range", locate(mark, mark)))
    return None


def _control_character(text: str, index: int, locate: Locate) -> Problem:
    line = text.count("\n", 0, index)
    column = index - text.rfind("\n", 0, index) - 1
    mark = yaml.Mark("", index, line, column, None, 0)
    return Problem(
        f"control character U+{ord(text[index]):04X}",
        locate(mark, mark),
        "a config is plain UTF-8 text; delete the character",
    )


def _in_our_words(error: yaml.MarkedYAMLError, locate: Locate) -> Problem:
    """The common mistakes by name; the rest as yaml says it."""
    context, problem = error.context or "", error.problem or "not valid YAML"
    if opened := _opened(context, problem):
        assert error.context_mark is not None
        return Problem(opened[0], locate(error.context_mark, error.context_mark), opened[1])
    message, remedy = _said(problem)
    mark = error.problem_mark or error.context_mark
    assert mark is not None
    return Problem(message, locate(mark, mark), remedy)


def _opened(context: str, problem: str) -> tuple[str, str] | None:
    unclosed = problem.startswith(
        ("expected ',' or", "found unexpected end", "found unexpected document")
    )
    return OPENED.get(context) if unclosed else None


def _said(problem: str) -> tuple[str, str | None]:
    if problem in (ALIASES, ANCHORS):
        return problem, "write the value out wherever it is used"
    if problem.startswith(TAGS):
        return problem, "write the plain value"
    if problem == "but found another document":
        return "a second document starts here", "one config per file"
    if problem == "mapping values are not allowed here":
        return problem, "quote values that contain ': ', and indent with care"
    if problem.startswith("expected <block end>"):
        return "this does not fit the lines above", "check the indentation and the brackets"
    if found := re.fullmatch(r"found character '(.*)' that cannot start any token", problem):
        character = found.group(1)
        if character == "\\t":
            return "a tab is used for indentation", "use spaces"
        return f'a value cannot start with "{character}"', "quote the value"
    return problem, None
