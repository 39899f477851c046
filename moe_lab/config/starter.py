"""A config to start from: every key at its default, under what it means."""

from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import Any, get_args

from pydantic.fields import FieldInfo

from moe_lab.config.dump import flow
from moe_lab.config.keys import choices, dotted
from moe_lab.config.methods import Settings
from moe_lab.config.schema import Config
from moe_lab.errors import ConfigError, StorageError

NAME = "experiment.yaml"
WIDTH = 100  # of a comment
HEADER = (
    "# Every key, at its default: what is left out stays as it is here. Choices stand in brackets."
)


def write_starter(folder: Path) -> Path:
    """Write the config into a folder, made if need be. Raises ConfigError if there is one, StorageError."""
    path = folder / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(starter())
    except FileExistsError as error:
        raise ConfigError(
            f"{error.filename} already exists", help="name another folder: moe-lab init DIR"
        ) from None
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {error.strerror}", help="name another folder: moe-lab init DIR"
        ) from error
    return path


def starter() -> str:
    """The config's text; it loads to Config()."""
    return "\n".join([HEADER, *_lines(Config(), "")]) + "\n"


def _lines(settings: Settings, section: str) -> Iterator[str]:
    indent = "  " * (section.count(".") + 1 if section else 0)
    for key, field in type(settings).model_fields.items():
        value, path = getattr(settings, key), dotted(section, key)
        if isinstance(value, Settings):
            yield ""
            yield from _comment(_meaning(field, value), indent)
            yield f"{indent}{key}:"
            yield from _lines(value, path)
        else:
            words = _choices(field, section, key)
            allowed = f" [{' | '.join(words)}]" if words else ""
            yield from _comment(f"{field.description}{allowed}", indent)
            yield f"{indent}{key}: {flow(value)}"


def _comment(text: str, indent: str) -> list[str]:
    return wrap(text, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}#   ")


def _meaning(field: FieldInfo, settings: Settings) -> str:
    return field.description or str(type(settings).__doc__).splitlines()[0]


def _choices(field: FieldInfo, section: str, key: str) -> list[str]:
    """The words that a key can be: the names of a choice, or those of its type."""
    if section in choices() and key in ("name", "source"):
        return list(choices()[section])
    return list(_words(field.annotation))


def _words(annotation: Any) -> Iterator[str]:
    for argument in get_args(annotation):
        if isinstance(argument, str):
            yield argument
        else:
            yield from _words(argument)
