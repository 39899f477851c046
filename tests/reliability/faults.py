"""Systems that a test hands the store for the true one: they count calls, and at one of them something happens."""

import os
import signal
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from moe_lab.store.system import System

CALLS = frozenset(name for name in vars(System) if not name.startswith("_"))

Fault = Callable[[str, tuple[Any, ...]], None]  # given a call's name and arguments


class Call(NamedTuple):
    """One call that was made."""

    name: str
    size: int  # bytes, of a write


class Counted(System):
    """Keeps every call. `around` is what each of them goes through."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        return partial(self.around, name, found) if name in CALLS else found

    def around(self, name: str, call: Callable[..., Any], *arguments: Any) -> Any:
        self.calls.append(Call(name, len(arguments[1]) if name == "write" else 0))
        return call(*arguments)


class Faulty(Counted):
    """Something happens before a call, counted from 0, and before all later ones unless `once`."""

    def __init__(self, at: float, fault: Fault, *, once: bool = False) -> None:
        super().__init__()
        self.arm(at, fault, once=once)

    def arm(self, after: float, fault: Fault, *, once: bool = False) -> None:
        """The same, at a later time: `after` counts from the next call."""
        self.at, self.fault, self.once = len(self.calls) + after, fault, once

    @property
    def fired(self) -> bool:
        """Whether anything has happened."""
        return len(self.calls) > self.at

    def around(self, name: str, call: Callable[..., Any], *arguments: Any) -> Any:
        index = len(self.calls)
        if index == self.at or (index > self.at and not self.once):
            self.calls.append(Call(name, 0))
            self.fault(name, arguments)
            return call(*arguments)
        return super().around(name, call, *arguments)


class Point(NamedTuple):
    """Where a process dies: before a call, or when so many bytes of a write have been taken."""

    call: int
    taken: int


def points(calls: list[Call]) -> list[Point]:
    """Every call, and of every write every class of what it had taken."""
    sizes = {
        i: {0, 1, 3, 7, call.size - 1, call.size} if call.size else {0}
        for i, call in enumerate(calls)
    }
    return [Point(i, k) for i, found in sizes.items() for k in sorted(found) if k <= calls[i].size]


class Killed(BaseException):
    """The end of a process that lives on as a test."""


def killed() -> None:
    """Ends the process that calls, as nothing can be done about."""
    os.kill(os.getpid(), signal.SIGKILL)


class Death:
    """Dies within a write; an end that returns, by an exception, is met again at each later call."""

    def __init__(self, taken: int, die: Callable[[], None] = killed) -> None:
        self.taken, self.die = taken, die

    def __call__(self, name: str, arguments: tuple[Any, ...]) -> None:
        if name == "write" and self.taken:
            descriptor, data = arguments
            os.write(descriptor, data[: self.taken])
        self.taken = 0
        self.die()


def raised() -> None:
    """An end for a test that goes on in the same process."""
    raise Killed


def refusal(number: int) -> Fault:
    """The system says no, with an errno."""

    def refuse(name: str, arguments: tuple[Any, ...]) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


class OneByte(System):
    """Takes a single byte at a time."""

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        return super().write(descriptor, data[:1])


class Garbled(Counted):
    """Turns a bit of what the write at a call is given, and says nothing: a bad cable."""

    at = -1

    def around(self, name: str, call: Callable[..., Any], *arguments: Any) -> Any:
        if name == "write" and len(self.calls) == self.at:
            descriptor, data = arguments
            arguments = (descriptor, bytes([data[0] ^ 4, *data[1:]]))
        return super().around(name, call, *arguments)
