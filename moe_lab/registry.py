"""Names to classes: the files of a folder are the methods that a config can choose from.

`balancing/router_z.py` is the method `router_z` and holds the class `RouterZ`. Its options are the keyword-only
arguments of that class, read from the source text: a config is checked against them before torch is imported.
"""

import ast
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

PACKAGE = Path(__file__).parent
PLAIN_TYPES: dict[str, Any] = {"bool": bool, "int": int, "float": float, "str": str, "None": None}


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
        tree = ast.parse((PACKAGE / self.folder / f"{name}.py").read_text(encoding="utf-8"))
        class_node = _named(tree, ast.ClassDef, class_name(name))
        init = _named(class_node, ast.FunctionDef, "__init__") if class_node else None
        if init is None:
            return {}
        pairs = zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)
        return {argument.arg: _option(argument, default) for argument, default in pairs}

    def load(self, name: str) -> Any:
        """The method's class; imports its file."""
        return getattr(import_module(f"moe_lab.{self.folder}.{name}"), class_name(name))


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
    """The few annotations that options may have: plain types, `| None` and Literal."""
    if isinstance(node, ast.BinOp):
        return _type(node.left) | _type(node.right)
    if isinstance(node, ast.Subscript):
        assert ast.unparse(node.value) == "Literal", ast.unparse(node)
        return Literal[ast.literal_eval(node.slice)]
    return PLAIN_TYPES[ast.unparse(node)]


ROUTERS = Registry("router", "routing")
BALANCERS = Registry("balancer", "balancing")
SOURCES = Registry("source", "data")
