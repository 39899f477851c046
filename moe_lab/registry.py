"""Names to classes: the files of a folder are the methods that a config can choose from.

`balancing/router_z.py` is the method `router_z` and holds the class `RouterZ`. Its options are the keyword-only
arguments of that class, read from the source text: a config is checked against them before torch is imported.
"""

import ast
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le

PACKAGE = Path(__file__).parent
PLAIN_TYPES: dict[str, Any] = {
    "bool": bool,
    "int": int,
    "float": float,
    "str": str,
    "None": None,
    "tuple[float, ...]": tuple[float, ...],
    "dict[str, str]": dict[str, str],
    "dict[str, float]": dict[str, float],
}
BOUNDS: dict[str, Any] = {"Ge": Ge, "Gt": Gt, "Le": Le}


@dataclass(frozen=True)
class Option:
    """One keyword-only argument of a method's class."""

    type: Any
    default: Any
    required: bool


@dataclass(frozen=True)
class Registry:
    """The methods of one folder of the package."""

    kind: str  # the word for one of them in messages
    folder: str

    def names(self) -> tuple[str, ...]:
        """Every method's name, sorted; nothing is imported."""
        files = (PACKAGE / self.folder).glob("*.py")
        return tuple(sorted(f.stem for f in files if f.stem not in ("__init__", "base")))

    def options(self, name: str) -> dict[str, Option]:
        """The keyword-only arguments of the method's class; nothing is imported."""
        class_node = self._class(name)
        init = _named(class_node, ast.FunctionDef, "__init__") if class_node else None
        if init is None:
            return {}
        pairs = zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)
        return {argument.arg: _option(argument, default) for argument, default in pairs}

    def fact(self, name: str, word: str) -> Any:
        """What the method's class says of itself, as `word = True`; None: nothing. Nothing is imported."""
        said = {
            ast.unparse(node.targets[0]): node.value
            for node in getattr(self._class(name), "body", [])
            if isinstance(node, ast.Assign)
        }
        return ast.literal_eval(said[word]) if word in said else None

    def _class(self, name: str) -> Any:
        tree = _parsed(PACKAGE / self.folder / f"{name}.py")
        return _named(tree, ast.ClassDef, class_name(name))

    def load(self, name: str) -> Any:
        """The method's class; imports its file."""
        return getattr(import_module(f"moe_lab.{self.folder}.{name}"), class_name(name))


@cache  # 3 ms, and every check of a config asks
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def class_name(name: str) -> str:
    """`router_z` to `RouterZ`."""
    return "".join(part.capitalize() for part in name.split("_"))


def _named(tree: ast.AST, kind: type[Any], name: str) -> Any:
    body = getattr(tree, "body", [])
    return next((node for node in body if isinstance(node, kind) and node.name == name), None)


def _option(argument: ast.arg, default: ast.expr | None) -> Option:
    assert argument.annotation is not None, f"option {argument.arg} has no type"
    value = None if default is None else ast.literal_eval(default)
    return Option(_type(argument.annotation), value, required=default is None)


def _type(node: ast.expr) -> Any:
    """The few annotations that options may have: plain types, `| None`, Literal, and Annotated with bounds."""
    if isinstance(node, ast.BinOp):
        return _type(node.left) | _type(node.right)
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Literal":
        return Literal[ast.literal_eval(node.slice)]
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Annotated":
        assert isinstance(node.slice, ast.Tuple), ast.unparse(node)
        plain, *bounds = node.slice.elts
        return Annotated[_type(plain), *map(_bound, bounds)]
    return PLAIN_TYPES[ast.unparse(node)]


def _bound(node: ast.expr) -> Any:
    """`Ge(0)`, `Gt(0)` and `Le(1)`."""
    assert isinstance(node, ast.Call), ast.unparse(node)
    return BOUNDS[ast.unparse(node.func)](ast.literal_eval(node.args[0]))


ROUTERS = Registry("router", "routing")
BALANCERS = Registry("balancer", "balancing")
SOURCES = Registry("source", "data")
EXPORTS = Registry("form", "export")
LAUNCHERS = Registry("launcher", "launch")
