from pathlib import Path

import numpy as np
import pytest

from moe_lab.data.text import Text, fingerprint, split

SEQ_LEN = 8
WINDOW = SEQ_LEN + 1


def random_text(path: Path, size: int) -> bytes:
    """Bytes in which every window is unique, so that a window tells its place."""
    data = np.random.default_rng(0).bytes(size)
    path.write_bytes(data)
    return data


def text(path: Path, seed: int = 0) -> Text:
    return Text(seed, path=str(path), seq_len=SEQ_LEN)


def places(batch, data: bytes) -> list[int]:
    """Where each window of a batch stands in the file."""
    rows = np.concatenate([batch.inputs.numpy(), batch.targets.numpy()[:, -1:]], 1)
    found = [data.find(row.astype(np.uint8).tobytes()) for row in rows]
    assert min(found) >= 0
    return found


def drawn(source: Text, data: bytes, steps: int, size: int) -> list[int]:
    return [place for step in range(steps) for place in places(source.batch(step, 0, size), data)]


@pytest.mark.parametrize("window", [2, 9, 65])
def test_the_blocks_tile_every_file_and_hold_a_window_each(window):
    for n_bytes in [*range(2 * window, 25 * window), *range(25 * window, 260 * window, 7)]:
        training, validation = split(n_bytes, window)
        edges = np.stack([training, validation], 1).reshape(-1, 2)
        assert (edges[0, 0], edges[-1, 1]) == (0, n_bytes)
        assert (edges[1:, 0] == edges[:-1, 1]).all()  # no gap and no overlap
        assert (edges[:, 1] - edges[:, 0] >= window).all()


def test_validation_comes_from_ten_places_of_a_long_file():
    training, validation = split(100_003, WINDOW)
    assert len(training) == len(validation) == 10
    # A tenth of each stretch of 10,000 bytes, at its end.
    assert abs(validation[:, 1] - 10_000 * np.arange(1, 11)).max() <= 3
    assert abs(np.diff(validation, axis=1) - 1000).max() <= 1


def test_shorter_files_get_fewer_stretches():
    # A stretch needs 20 windows of 9 bytes: 10 % of it then hold two.
    assert [len(split(n, WINDOW)[0]) for n in (18, 359, 360, 1799, 1800)] == [1, 1, 2, 9, 10]


@pytest.mark.parametrize("size", [18, 19, 40, 100, 400])
def test_exactly_the_windows_inside_training_blocks_are_drawn(tmp_path, size):
    data = random_text(tmp_path / "a.txt", size)
    source = text(tmp_path / "a.txt")
    training = source.files[0].training
    inside = {start for begin, end in training for start in range(begin, end - WINDOW + 1)}
    # 500 draws for each possible place would be missed with probability exp(-20) at 20 a place.
    assert set(drawn(source, data, 20, len(inside))) == inside


def test_no_training_window_touches_a_validation_byte(tmp_path):
    data = random_text(tmp_path / "a.txt", 1800)
    source = text(tmp_path / "a.txt")
    validation = source.files[0].validation
    assert len(validation) == 10
    trained = {start + i for start in drawn(source, data, 40, 400) for i in range(WINDOW)}
    held_out = {start + i for start in places(source.held_out(10_000), data) for i in range(WINDOW)}
    in_validation = {i for start, end in validation for i in range(start, end)}
    assert trained == set(range(1800)) - in_validation
    assert held_out <= in_validation


def test_every_start_is_equally_likely_across_blocks_of_unequal_length(tmp_path):
    data = random_text(tmp_path / "a.txt", 410)
    source = text(tmp_path / "a.txt")
    assert len(source.files[0].training) == 2
    counts = np.bincount(drawn(source, data, 20, 2000))
    counts = counts[counts > 0]
    expected = 40_000 / len(counts)
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi_squared - len(counts)) < 5 * np.sqrt(2 * len(counts))


def test_held_out_windows_share_no_predicted_byte_and_reach_every_block(tmp_path):
    data = random_text(tmp_path / "a.txt", 4000)
    source = text(tmp_path / "a.txt")
    # Blocks of 40 bytes: windows start at 0, 8, 16, 24 and end by 33: 4 a block, 40 in all.
    starts = places(source.held_out(10_000), data)
    assert len(set(starts)) == len(starts) == 40
    predicted = [start + i for start in starts for i in range(1, WINDOW)]
    assert len(set(predicted)) == len(predicted)
    few = places(source.held_out(10 * SEQ_LEN), data)
    blocks = {int(np.searchsorted(source.files[0].validation[:, 1], start)) for start in few}
    assert len(few) == 10
    assert len(blocks) == 10


def test_tokens_are_the_bytes_of_the_file(tmp_path):
    (tmp_path / "greek.txt").write_bytes("αβγ".encode() * 10)
    source = text(tmp_path / "greek.txt")
    assert source.vocab_size == 256
    assert source.domains == ("greek",)
    # α is the bytes 206 177, β 206 178, γ 206 179
    assert set(source.batch(0, 0, 50).inputs.unique().tolist()) == {177, 178, 179, 206}
    assert source.ladder()[0].loss == pytest.approx(np.log(256))
    assert len(source.ladder()) == 1


def test_the_shortest_text_has_one_training_and_one_held_out_window(tmp_path):
    (tmp_path / "a.txt").write_bytes(bytes(range(18)))
    source = text(tmp_path / "a.txt")
    assert source.batch(1, 0, 2).inputs.tolist() == [list(range(8))] * 2
    assert source.held_out(100).targets.tolist() == [list(range(10, 18))]


def test_the_fingerprint_changes_with_any_byte_and_with_the_length():
    data = np.frombuffer(random_bytes := np.random.default_rng(0).bytes(300), dtype=np.uint8)
    found = {fingerprint(data)}
    for i in range(300):
        changed = bytearray(random_bytes)
        changed[i] ^= 1
        found.add(fingerprint(np.frombuffer(bytes(changed), dtype=np.uint8)))
    assert len(found) == 301
    zeros = np.zeros(300, dtype=np.uint8)
    assert fingerprint(zeros) != fingerprint(zeros[:-1])


def test_of_a_large_file_the_ends_and_the_length_count(monkeypatch):
    monkeypatch.setattr("moe_lab.data.text.HASHED_BYTES", 4)
    large = np.zeros(10_000, dtype=np.uint8)
    found = {fingerprint(large), fingerprint(large[:-1])}
    for i in (0, 9_999):
        changed = large.copy()
        changed[i] ^= 1
        found.add(fingerprint(changed))
    assert len(found) == 4


def test_a_text_of_any_size_is_read_in_places(tmp_path: Path):
    path = tmp_path / "a.txt"
    with path.open("wb") as file:
        file.truncate(2**37)  # a hole: neither a disk nor a memory that this runs on holds it
    source = Text(0, path=str(path), seq_len=SEQ_LEN)
    assert source.held_out(10 * SEQ_LEN).inputs.shape == (10, SEQ_LEN)
    assert source.batch(1, 0, 4).inputs.unique().tolist() == [0]
