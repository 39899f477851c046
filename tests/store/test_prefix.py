from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_lab.errors import ArtefactError
from moe_lab.store.prefix import CHUNK, Prefix, read_prefix


@given(st.lists(st.binary()))
def test_what_is_added_in_pieces_is_the_whole(pieces: list[bytes]) -> None:
    prefix = Prefix()
    for piece in pieces:
        before = prefix.sha256
        longer = prefix.plus(piece)
        assert prefix.sha256 == before  # the shorter one stays what it is
        prefix = longer
    whole = b"".join(pieces)
    assert (prefix.length, prefix.sha256) == (len(whole), sha256(whole).hexdigest())


@pytest.mark.parametrize("length", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 5])
def test_a_prefix_is_read_to_its_length_and_no_further(tmp_path: Path, length: int) -> None:
    path = tmp_path / "steps.csv"
    data = bytes(range(256)) * 8193  # 2 MiB and 256 bytes
    path.write_bytes(data)
    found = read_prefix(path, length)
    assert (found.length, found.sha256) == (length, sha256(data[:length]).hexdigest())


def test_a_table_that_has_less_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "steps.csv").write_bytes(b"step\n")
    with pytest.raises(ArtefactError, match=r"steps\.csv has 5 bytes; its checkpoint counted 6"):
        read_prefix(tmp_path / "steps.csv", 6)
