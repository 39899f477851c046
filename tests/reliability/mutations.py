"""What is made of a valid input to be fuzzed with: other bytes, or other values in a tree."""

import copy
import random
from typing import Any

PIECES = (  # what has a meaning somewhere
    *(b"\0", b"\n", b"\r\n", b",", b",,", b"\xef\xbb\xbf", b"\xff", b"\x1b[2J", b'"', b"'", b"\\"),
    *(b"1e400", b"-1", b"nan", b"inf", b"NaN", b"Infinity", b"NA", b"1_0", b"0x1", b"9" * 30),
    *(b"train", b"eval", b"step", b"true", b"null", b"[", b"]", b"{", b"}", b":", b"e", b"."),
    *(b'"a":1,', b'"schema"', b"2.5", b"\xe2\x80\xae", b"PK\5\6", b"\x93NUMPY", b"F64", b"/../"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 2.5, 1e300, 2**63, "", "a", "\ud800", "../../x", "2026-01-01", [], {}),
    *([1], ["a", None], {"name": "a"}, {"name": None}, {"a": {"b": 1}}, {"verdict": None}),
)


def damaged(data: bytes, draw: random.Random) -> bytes:
    """Bytes with a few pieces cut, repeated, put in, or a bit flipped."""
    for _ in range(draw.randint(1, 3)):
        at, width = draw.randint(0, len(data)), draw.choice((0, 1, 2, 8, 40))
        other = draw.randint(0, len(data))
        bit = bytes([data[at] ^ 1 << draw.randrange(8)]) if at < len(data) else b""
        piece = draw.choice((b"", bit, draw.choice(PIECES), data[other : other + width]))
        data = data[:at] + piece + data[at + draw.choice((1, width)) :]
    return data


def alter(value: Any, draw: random.Random) -> None:
    """Another value, or another name, somewhere in a tree."""
    while True:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = draw.choice(list(keys))
        if isinstance(value[key], dict | list) and value[key] and draw.random() < 0.8:
            value = value[key]
            continue
        if isinstance(value, dict) and draw.random() < 0.2:
            value[draw.choice(("", "a", "moe.router", "name", "moe", "train"))] = value.pop(key)
        else:
            value[key] = copy.deepcopy(draw.choice(VALUES))
        return
