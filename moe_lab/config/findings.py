"""What is wrong with a config as a whole, before it is known where it was written."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """A contradiction: the keys that could change, the first that was written is pointed at."""

    keys: tuple[str, ...]
    message: str
    help: str | None = None
    also: str = ""  # the key that the help ends with; its line is added
