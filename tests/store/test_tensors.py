"""The header of safetensors, whole, forged and damaged."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from moe_lab.errors import ArtefactError
from moe_lab.store.tensors import read_shapes

PATH = Path("model.safetensors")
GOOD: dict[str, Any] = {
    "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "b": {"dtype": "U8", "shape": [], "data_offsets": [24, 25]},
}


def written(header: Any, data: bytes = bytes(25)) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize(
    "dtype", ["bool", "u1", "i1", "u2", "i2", "f2", "u4", "i4", "f4", "u8", "i8", "f8"]
)
def test_the_shapes_are_those_that_the_library_wrote(dtype: str) -> None:
    arrays = {
        "x": np.zeros((3, 2), dtype),
        "scalar": np.array(1, dtype),
        "none": np.zeros(0, dtype),
    }
    found = read_shapes(safetensors.numpy.save(arrays, metadata={"by": "us"}), PATH)
    assert {name: shape for name, (_, shape) in found.items()} == {
        name: array.shape for name, array in arrays.items()
    }


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"", "is corrupt"),
        (b"[]", "not a JSON object"),
        (b'{"a": 1, "a": 1}', "key 'a' stands twice"),
        ({**GOOD, "b": 1}, "'b' is no tensor of its bytes"),
        ({**GOOD, "b": {**GOOD["b"], "dtype": "F128"}}, "'b' is no tensor"),
        ({**GOOD, "b": {**GOOD["b"], "shape": [10**6, 10**6]}}, "'b' is no tensor"),  # 1 TB
        ({**GOOD, "b": {**GOOD["b"], "shape": [-1, -1]}}, "'b' is no tensor"),
        ({**GOOD, "b": {**GOOD["b"], "shape": [True]}}, "'b' is no tensor"),
        ({**GOOD, "b": {**GOOD["b"], "data_offsets": [23, 24]}}, "do not fill it"),  # shared
        ({**GOOD, "b": {**GOOD["b"], "data_offsets": [25, 26]}}, "do not fill it"),  # a hole
        ({"a": GOOD["a"]}, "do not fill it"),
    ],
)
def test_a_forged_header_is_refused(header: Any, said: str) -> None:
    with pytest.raises(ArtefactError, match=said):
        read_shapes(written(header), PATH)


def test_limits_of_the_header_have_names() -> None:
    with pytest.raises(ArtefactError, match=r"the limit is 10,000,000 \(header of tensors"):
        read_shapes((2**40).to_bytes(8, "little") + b"{}", PATH)
    many = {f"{i}": {} for i in range(100_001)}
    with pytest.raises(ArtefactError, match=r"100,001 tensors; the limit is 100,000 \(tensors"):
        read_shapes(written(many), PATH)


def test_a_good_header_passes() -> None:
    assert read_shapes(written(GOOD), PATH) == {"a": ("F32", (2, 3)), "b": ("U8", ())}
