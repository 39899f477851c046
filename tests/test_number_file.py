import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_lab.data.text import Text
from moe_lab.errors import ConfigError
from moe_lab.number_file import NumberFile


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stored") / "ids"
    path.write_bytes(np.arange(1000, dtype="<u2").tobytes() + b"x")  # and half of an id
    return path


@given(
    st.none() | st.integers(0, 1200),
    st.none() | st.integers(0, 1200),
)
def test_a_slice_is_that_of_the_array(file: Path, start: int | None, stop: int | None) -> None:
    part = slice(start, max(stop, start or 0) if stop is not None else None)
    stored = NumberFile(file, "<u2")
    assert len(stored) == 1000
    assert stored[part].tolist() == list(range(1000))[part]


def test_a_file_that_is_cut_while_it_is_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"abcd" * 1000)
    source = Text(0, path=str(path), seq_len=16)
    os.truncate(path, 100)
    with pytest.raises(ConfigError, match="was cut off while it was read: it has 100 bytes left"):
        source.held_out(512)
