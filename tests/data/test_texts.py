"""Several files, tokenizers and stored token ids."""

import sys
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from moe_lab.data import text as module
from moe_lab.data.base import Batch
from moe_lab.data.text import Text
from moe_lab.errors import ConfigError

SEQ_LEN = 8
WINDOW = SEQ_LEN + 1


def write(folder: Path, **sizes: int) -> dict[str, str]:
    """Files of one letter each, the first of their label."""
    for label, size in sizes.items():
        (folder / f"{label}.txt").write_bytes(label[0].encode() * size)
    return {label: str(folder / f"{label}.txt") for label in sizes}


def letters(batch: Batch) -> list[str]:
    """The letter of each window, which must be the same throughout."""
    assert (batch.inputs == batch.inputs[:, :1]).all()
    assert (batch.targets == batch.inputs).all()
    return [chr(token) for token in batch.inputs[:, 0]]


def test_the_label_of_a_window_is_the_file_that_it_is_from(tmp_path):
    paths = write(tmp_path, alpha=500, beta=300, gamma=200)
    source = Text(0, path=paths, seq_len=SEQ_LEN)
    assert source.domains == ("alpha", "beta", "gamma")
    for batch in (source.batch(1, 0, 60), source.held_out(400)):
        assert letters(batch) == ["abg"[d] for d in batch.domains[:, 0]]
        assert set(letters(batch)) == {"a", "b", "g"}
        assert (batch.domains == batch.domains[:, :1]).all()


def shares(source: Text, size: int = 10_000) -> np.ndarray:
    labels = source.batch(1, 0, size).domains[:, 0]
    return labels.bincount(minlength=len(source.domains)).numpy() / size


def test_without_weights_every_training_window_is_equally_likely(tmp_path):
    source = Text(0, path=write(tmp_path, a=2000, b=500), seq_len=SEQ_LEN)
    windows = [
        sum(end - start - WINDOW + 1 for start, end in file.training) for file in source.files
    ]
    # Five standard deviations are at most 5 * .5 / 100 = .025.
    assert abs(shares(source) - np.array(windows) / sum(windows)).max() < 0.025
    assert windows[0] / sum(windows) == pytest.approx(0.8, abs=0.05)


def test_weights_say_how_often_a_file_is_read_in_training_and_evaluation(tmp_path):
    paths = write(tmp_path, a=4000, b=4000)
    source = Text(0, path=paths, weights={"b": 3.0, "a": 1.0}, seq_len=SEQ_LEN)
    assert abs(shares(source) - [0.25, 0.75]).max() < 0.025
    # 32 windows: 8 and 24, mixed from the start
    held_out = source.held_out(32 * SEQ_LEN).domains[:, 0]
    assert held_out.bincount().tolist() == [8, 24]
    assert held_out[:8].bincount().tolist() == [2, 6]


def test_a_short_file_gives_evaluation_what_it_has(tmp_path):
    paths = write(tmp_path, long=4000, short=18)
    source = Text(0, path=paths, weights={"long": 1.0, "short": 1.0}, seq_len=SEQ_LEN)
    assert source.held_out(20 * SEQ_LEN).domains[:, 0].bincount().tolist() == [10, 1]


def test_windows_do_not_cross_files_and_keep_to_their_blocks(tmp_path):
    for label, seed in (("a", 0), ("b", 1)):
        (tmp_path / f"{label}.txt").write_bytes(np.random.default_rng(seed).bytes(900))
    source = Text(0, path=str(tmp_path), seq_len=SEQ_LEN)
    alone = [Text(0, path=str(tmp_path / f"{label}.txt"), seq_len=SEQ_LEN) for label in "ab"]
    for batch, blocks in (
        (source.batch(1, 0, 300), "training"),
        (source.held_out(300), "validation"),
    ):
        rows = np.concatenate([batch.inputs.numpy(), batch.targets.numpy()[:, -1:]], 1)
        for row, label in zip(rows.astype(np.uint8), batch.domains[:, 0], strict=True):
            file = alone[label].files[0]
            place = file.tokens[:].tobytes().find(row.tobytes())
            inside = [s <= place and place + WINDOW <= e for s, e in getattr(file, blocks)]
            assert sum(inside) == 1


def test_one_file_reads_the_same_however_it_is_named(tmp_path):
    path = write(tmp_path, only=400)["only"]
    sources = [
        Text(0, path=name, seq_len=SEQ_LEN) for name in (path, {"only": path}, str(tmp_path))
    ]
    assert len({source.fingerprint for source in sources}) == 1
    assert {source.domains for source in sources} == {("only",)}
    assert not any(source.labelled for source in sources)


def test_the_fingerprint_names_labels_weights_and_kind_of_token(tmp_path):
    paths = write(tmp_path, a=400, b=400)
    variants = [
        Text(0, path=paths),
        Text(0, path={"a": paths["b"], "b": paths["a"]}),
        Text(0, path={"x": paths["a"], "b": paths["b"]}),
        Text(0, path=paths, weights={"a": 1.0, "b": 2.0}),
        Text(0, path=paths, dtype="uint16", vocab_size=30_000),
        Text(0, path=paths["a"]),
        Text(0, path=paths["a"], dtype="uint16", vocab_size=30_000),
    ]
    assert len({source.fingerprint for source in variants}) == len(variants)


# Token ids


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_ids_are_little_endian(tmp_path, dtype):
    ids = np.arange(1000, 1400, dtype={"uint16": "<u2", "uint32": "<u4"}[dtype])
    (tmp_path / "a.bin").write_bytes(ids.tobytes())
    source = Text(0, path=str(tmp_path / "a.bin"), dtype=dtype, vocab_size=1400, seq_len=SEQ_LEN)
    batch = source.batch(1, 0, 20)
    assert (batch.targets == batch.inputs + 1).all()
    assert 1000 <= batch.inputs.min() <= batch.targets.max() < 1400
    assert source.vocab_size == 1400
    assert source.bytes_per_token is None


# Tokenizers


def tokenizer(folder: Path, *, truncated: bool = False, words: str = "to be or not") -> str:
    """One token per word, and a special one that it would put in front."""
    vocabulary = {word: i for i, word in enumerate(["[UNK]", *words.split()])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if truncated:
        made.enable_truncation(3)
        made.enable_padding(length=50)
    made.save(str(folder / "tokenizer.json"))
    return str(folder / "tokenizer.json")


HAMLET = "to be or not to be\nto be  or so\n" * 20  # 10 tokens a time


@pytest.mark.parametrize("truncated", [False, True])
def test_a_tokenizer_reads_the_whole_file_whatever_it_was_stored_with(tmp_path, truncated):
    (tmp_path / "hamlet.txt").write_text(HAMLET)
    path, stored = str(tmp_path / "hamlet.txt"), tokenizer(tmp_path, truncated=truncated)
    source = Text(0, path=path, tokenizer=stored, seq_len=SEQ_LEN)
    # [UNK] 0, to 1, be 2, or 3, not 4
    assert source.files[0].tokens.tolist() == [1, 2, 3, 4, 1, 2, 1, 2, 3, 0] * 20
    assert source.vocab_size == 5
    assert source.domains == ("hamlet",)
    assert source.bytes_per_token == pytest.approx(len(HAMLET) / 200)


def test_a_long_file_is_read_in_pieces_that_end_with_a_line(tmp_path, monkeypatch):
    (tmp_path / "hamlet.txt").write_text(HAMLET)
    path, stored = str(tmp_path / "hamlet.txt"), tokenizer(tmp_path)
    whole = Text(0, path=path, tokenizer=stored).files[0].tokens
    for piece in (1, 20, 33, len(HAMLET)):
        monkeypatch.setattr(module, "PIECE", piece)
        found = Text(0, path=path, tokenizer=stored).files[0].tokens
        np.testing.assert_array_equal(found, whole)


def test_bytes_per_token_are_those_of_the_mixture_that_is_read(tmp_path):
    paths = {}
    for label, words in (("long", "not " * 400), ("short", "be " * 400)):
        paths[label] = str(tmp_path / f"{label}.txt")
        Path(paths[label]).write_text(words)
    weights = {"long": 1.0, "short": 3.0}
    source = Text(0, path=paths, weights=weights, tokenizer=tokenizer(tmp_path), seq_len=SEQ_LEN)
    assert source.bytes_per_token == pytest.approx((4 + 3 * 3) / 4)
    assert Text(0, path=paths, weights=weights).bytes_per_token == 1


def test_too_few_tokens_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("to be " * 8 + "or")
    with pytest.raises(ConfigError, match=r"a.txt has 17 tokens; .* at least 2 \* \(8 \+ 1\) = 18"):
        Text(0, path=str(tmp_path / "a.txt"), tokenizer=tokenizer(tmp_path), seq_len=SEQ_LEN)


def test_bytes_are_read_without_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    assert Text(0, path=write(tmp_path, a=100), seq_len=SEQ_LEN).vocab_size == 256
