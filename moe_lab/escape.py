"""Text that somebody else may have written, made harmless for what shows it: one function for each kind of reader."""

import re

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what makes a spreadsheet compute a cell
_MARKUP = re.compile(r"([\\`*\[\]<>|~&#$]|(?<![^\W_])_|_(?![^\W_])|(?<=:)/(?=/)|(?<=www)\.)", re.I)


def line(text: str) -> str:
    r"""One line for a terminal: what is no visible character, newline and bidi mark included, as its escape `\x1b`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def lines(text: str) -> str:
    """Several lines for a terminal, each as `line` makes it."""
    return "\n".join(map(line, text.split("\n")))


def markdown(text: str) -> str:
    """One line of GitHub-flavoured Markdown, or a cell: backslashes before what could be markup, HTML or a link.

    An underscore inside a word is none.
    """
    return _MARKUP.sub(r"\\\1", line(text))


def spreadsheet(text: str) -> str:
    """A cell of a CSV: no formula, and no control character but newlines."""
    return lines(f"'{text}" if text.startswith(FORMULA) else text)
