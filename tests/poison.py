"""Global generators that must not be drawn from: inside `poisoned` a draw from one raises."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode


class GlobalDraw(BaseException):
    """Not an Exception: nothing that goes on after an error may swallow it."""


@contextmanager
def poisoned() -> Iterator[None]:
    """Draws of Python, numpy and torch raise GlobalDraw, unless they are from a generator with a seed of its own."""
    with ExitStack() as stack:
        # beartype, which checks shapes in tests alone, holds on to its own reference to getrandbits
        for module, generator in ((random, random._inst), (np.random, np.random.mtrand._rand)):
            for name in _methods(module, generator):
                stack.enter_context(patch.object(module, name, _refusal(name)))
        stack.enter_context(patch.object(np.random, "default_rng", _seeded(np.random.default_rng)))
        stack.enter_context(_TorchDraws())
        yield


def _methods(module: ModuleType, generator: object) -> list[str]:
    """The functions of a module that draw from its hidden generator."""
    return [n for n in dir(module) if getattr(getattr(module, n), "__self__", None) is generator]


def _refusal(name: str) -> Callable[..., Any]:
    def refuse(*arguments: object, **options: object) -> None:
        raise GlobalDraw(name)

    return refuse


def _seeded(make: Callable[..., Any]) -> Callable[..., Any]:
    """Without a seed the operating system's entropy would be it."""

    def checked(seed: Any = None) -> Any:
        if seed is None:
            raise GlobalDraw("default_rng")
        return make(seed)

    return checked


class _TorchDraws(TorchDispatchMode):
    """Sees every operation, those of the backward pass, too; torch marks the ones that draw."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        given = kwargs or {}
        if torch.Tag.nondeterministic_seeded in func.tags and _draws(func, args, given):
            raise GlobalDraw(str(func))
        return func(*args, **given)


def _draws(func: Any, args: tuple[Any, ...], given: dict[str, Any]) -> bool:
    """From the default generator; attention without dropout is marked and draws nothing."""
    names = [argument.name for argument in func._schema.arguments]
    bound = {**dict(zip(names, args, strict=False)), **given}
    if "dropout_p" in names and not bound.get("dropout_p"):
        return False
    generator = bound.get("generator")  # wrapped anew: told by where it lies
    return generator is None or generator._cdata == torch.default_generator._cdata
