import sys
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models

from moe_lab.config import Config, Text, load


def data(config: Config) -> Text:
    assert isinstance(config.data, Text)
    return config.data


@pytest.mark.parametrize(
    ("path", "message", "remedy"),
    [
        ("shakespeer.txt", "no such file", "shakespeare.txt'?"),
        ("no/such/text.txt", "no such file", "there is no folder"),
        (
            "empty.txt",
            "the file empty.txt is empty; with seq_len 64 it needs at least 2 * (64 + 1) = 130",
            "",
        ),
        ("short.txt", "the file short.txt has 129 bytes; with seq_len 64", ""),
        ("empty_folder", "there are no files in", "hidden files and subfolders are not read"),
        ("twins", "a.md and a.txt in", "write path: {label: file, …}"),
        ("odd", "'a, b' cannot be a label", "use 1 to 64 of A-Z a-z 0-9 _ . -"),
        ("reserved", "'lm' cannot be a label: 'lm_loss' is another column", "write path: {label"),
        ("linked", "link.txt is a link out of the folder", "write path: {label: file, …}"),
        ("with_short", "the file short.txt has 129 bytes", ""),
    ],
)
def test_a_text_that_cannot_be_trained_on_is_refused_at_its_key(refusal, path, message, remedy):
    Path("shakespeare.txt").write_bytes(b"x" * 130)
    Path("empty.txt").touch()
    Path("short.txt").write_bytes(b"x" * 129)
    folders = {
        "empty_folder": [".hidden", "deeper/a.txt"],
        "twins": ["a.txt", "a.md", "b.txt"],
        "odd": ["a, b.txt", "c.txt"],
        "reserved": ["lm.txt", "c.txt"],
        "linked": ["c.txt"],
        "with_short": ["c.txt"],
    }
    for folder, names in folders.items():
        for name in names:
            Path(folder, name).parent.mkdir(parents=True, exist_ok=True)
            Path(folder, name).write_bytes(b"x" * 130)
    Path("linked/link.txt").symlink_to(Path("shakespeare.txt").absolute())
    Path("with_short/short.txt").write_bytes(b"x" * 129)
    rendered = refusal(f"data:\n  source: text\n  path: {path}\n")
    assert message in rendered
    assert "--> bad.yaml:3:3" in rendered
    assert remedy in rendered
    assert rendered.count("error:") == 1


def test_problems_of_named_files_stand_at_their_labels(refusal):
    Path("a.txt").write_bytes(b"x" * 130)
    rendered = refusal(
        "data:\n  source: text\n  path:\n    good: a.txt\n    'a b': a.txt\n    gone: b.txt\n    here: .\n"
    )
    for place, message in (
        ("5:5", "'a b' cannot be a label: it is part of a column's name"),
        ("6:5", "no such file"),
        ("7:5", "is a folder"),
    ):
        assert f"{message}" in rendered
        assert f"--> bad.yaml:{place}" in rendered
    assert rendered.count("error:") == 3


@pytest.mark.parametrize("label", ["a", "domain.code_py", "x-1", "_", "A" * 64, "1"])
def test_a_label_may_be_any_safe_word(tmp_path: Path, label):
    (tmp_path / "a.txt").write_bytes(b"x" * 130)
    (tmp_path / "a.yaml").write_text(f"data: {{source: text, path: {{{label}: a.txt}}}}\n")
    resolved = load(tmp_path / "a.yaml")
    assert data(resolved.config).path == {label: str(tmp_path / "a.txt")}
    assert resolved.origins[f"data.path.{label}"] == f"{tmp_path}/a.yaml:1"
    (tmp_path / "again.yaml").write_text(resolved.dump())
    assert load(tmp_path / "again.yaml").config == resolved.config


@pytest.mark.parametrize("label", ["-a", ".a", "ä", "a/b", "A" * 65, "a,b", '"'])
def test_a_label_that_breaks_a_header_is_refused(refusal, label):
    Path("a.txt").write_bytes(b"x" * 130)
    text = f"data: {{source: text, path: {{'{label}': a.txt}}}}\n"
    assert "cannot be a label" in refusal(text)


def test_files_of_a_mapping_or_a_folder_are_relative_to_the_config(tmp_path: Path, monkeypatch):
    (tmp_path / "texts").mkdir()
    for name in ("a.txt", "b.txt"):
        (tmp_path / "texts" / name).write_bytes(b"x" * 130)
    (tmp_path / "named.yaml").write_text("data: {source: text, path: {a: texts/a.txt}}\n")
    (tmp_path / "folder.yaml").write_text("data: {source: text, path: texts}\n")
    monkeypatch.chdir("/")
    named = data(load(tmp_path / "named.yaml").config)
    assert named.path == {"a": str(tmp_path / "texts" / "a.txt")}
    assert data(load(tmp_path / "folder.yaml").config).path == str(tmp_path / "texts")


def test_on_the_command_line_paths_are_relative_to_where_you_are(tmp_path: Path, monkeypatch):
    for name in ("a.txt", "b, c.txt"):
        (tmp_path / name).write_bytes(b"x" * 130)
    monkeypatch.chdir(tmp_path)
    text = ["source=text", "path={one: a.txt, two: 'b, c.txt'}", "weights={two: 3, one: 1}"]
    settings = data(load(None, [*text, "tokenizer=null"]).config)
    assert settings.path == {"one": f"{tmp_path}/a.txt", "two": f"{tmp_path}/b, c.txt"}
    assert settings.weights == {"one": 1, "two": 3}
    assert settings.tokenizer is None
    assert data(load(None, ["source=text", "path=b, c.txt"]).config).path == f"{tmp_path}/b, c.txt"


def test_weights_are_for_the_labels_that_there_are(refusal):
    for name in ("a.txt", "b.txt"):
        Path(name).write_bytes(b"x" * 130)
    rendered = refusal(
        "data:\n  source: text\n  path: {a: a.txt, b: b.txt}\n  weights: {a: 1, c: 2}\n"
    )
    assert "'data.weights': 'b' has none, there is no 'c'\n  --> bad.yaml:4:3" in rendered
    assert rendered.endswith("help: give one for each of a, b")


# Token ids


def test_an_id_beyond_the_vocabulary_is_refused_with_its_place(refusal):
    ids = np.arange(200, dtype="<u2")
    ids[150] = 5000
    Path("a.bin").write_bytes(ids.tobytes())
    ids[150] = 299
    Path("b.bin").write_bytes(ids.tobytes())
    rendered = refusal(
        "data:\n  source: text\n  dtype: uint16\n  vocab_size: 300\n"
        "  path:\n    a: a.bin\n    b: b.bin\n"
    )
    assert "the file a.bin has the id 5000 at byte 300" in rendered
    assert "'data.vocab_size' 300 allows ids below it\n  --> bad.yaml:6:5" in rendered
    assert "b.bin has" not in rendered


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_the_last_id_that_fits_is_taken(tmp_path: Path, dtype):
    ids = np.full(130, 299, dtype={"uint16": "<u2", "uint32": "<u4"}[dtype])
    (tmp_path / "a.bin").write_bytes(ids.tobytes())
    text = ["source=text", f"path={tmp_path}/a.bin", f"dtype={dtype}"]
    load(None, [*text, "vocab_size=300"])
    with pytest.raises(Exception, match=r"has the id 299 at byte 0; .* 299 allows"):
        load(None, [*text, "vocab_size=299"])


def test_files_of_ids_hold_whole_ids_and_enough_of_them(refusal):
    Path("odd.bin").write_bytes(b"\0" * 261)
    Path("few.bin").write_bytes(b"\0" * 258)
    text = "data: {{source: text, path: {}, dtype: uint16, vocab_size: 9}}"
    assert "has 261 bytes, which are no whole number of uint16" in refusal(text.format("odd.bin"))
    assert "has 129 token ids; with seq_len 64" in refusal(text.format("few.bin"))


# Tokenizers


def stored(path: Path) -> None:
    Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]")).save(str(path))


def test_a_tokenizer_is_found_from_the_config(tmp_path: Path):
    (tmp_path / "a.txt").write_text("a")  # how many tokens it has is not known yet
    stored(tmp_path / "t.json")
    (tmp_path / "a.yaml").write_text("data: {source: text, path: a.txt, tokenizer: t.json}\n")
    assert data(load(tmp_path / "a.yaml").config).tokenizer == str(tmp_path / "t.json")


@pytest.mark.parametrize(
    ("name", "message", "remedy"),
    [
        ("tokeniser.json", "no such file: ", "did you mean '"),
        (".", "'data.tokenizer' cannot be read: ", ""),
        ("other.json", "other.json is not a tokenizer.json: ", ""),
        ("binary.json", "binary.json is not a tokenizer.json: ", ""),
    ],
)
def test_a_tokenizer_that_cannot_be_read_is_refused_at_its_key(refusal, name, message, remedy):
    Path("a.txt").write_text("a" * 200)
    Path("other.json").write_text('{"a": 1}')
    Path("binary.json").write_bytes(b"\xff\xfe")
    stored(Path("tokenizer.json"))
    rendered = refusal(f"data:\n  source: text\n  path: a.txt\n  tokenizer: {name}\n")
    assert message in rendered
    assert "--> bad.yaml:4:3" in rendered
    assert remedy in rendered
    assert rendered.count("error:") == 1


def test_a_tokenizer_reads_utf_8(refusal):
    Path("a.txt").write_bytes(b"abc\xffdef" * 100)
    stored(Path("t.json"))
    rendered = refusal("data: {source: text, path: a.txt, tokenizer: t.json}")
    assert "the file a.txt is not UTF-8: byte 0xff at offset 3; a tokenizer reads text" in rendered


def test_without_the_extra_a_tokenizer_is_refused_and_bytes_are_not(refusal, monkeypatch):
    Path("a.txt").write_text("a" * 200)
    stored(Path("t.json"))
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    rendered = refusal("data: {source: text, path: a.txt, tokenizer: t.json}")
    assert "'data.tokenizer' needs the package tokenizers\n  --> bad.yaml:1:35" in rendered
    assert rendered.endswith("help: pip install 'moe-lab[tokenizers]'")
    load(None, ["source=text", "path=a.txt"])


def test_the_shortest_text_holds_two_windows(tmp_path: Path):
    (tmp_path / "a.txt").write_bytes(b"x" * 130)
    assert load(None, ["source=text", f"path={tmp_path}/a.txt"]).warnings == ()


def test_the_text_of_a_finished_run_may_be_gone():
    config = load(None, ["source=text", "path=/gone.txt"], data_exists=False).config
    assert config.data == Text(source="text", path="/gone.txt")


# Files that hold no text


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x1f\x8b\x08", "a gzip archive"),
        (b"\x89PNG\r\n", "a PNG image"),
        ("text".encode("utf-16"), "binary"),
        (b"a" * 4095 + b"\0", "binary"),
    ],
)
def test_bytes_that_are_no_text_are_read_with_a_warning(tmp_path: Path, head, kind):
    (tmp_path / "a.txt").write_bytes(head + b"x" * 200)
    (tmp_path / "a.yaml").write_text("data: {source: text, path: {b: a.txt}}\n")
    (warning,) = load(tmp_path / "a.yaml").warnings
    assert warning.message == (
        f"'data.path': the file a.txt is {kind}; its bytes are read as they are"
    )
    assert warning.place
    assert (warning.place.line, warning.place.column) == (1, 29)


def test_a_byte_order_mark_and_letters_of_any_language_are_text(tmp_path: Path):
    (tmp_path / "a.txt").write_bytes("größe 🙂\r\n".encode("utf-8-sig") * 20)
    assert load(None, ["source=text", f"path={tmp_path}/a.txt"]).warnings == ()


def test_ids_may_have_any_bytes(tmp_path: Path):
    (tmp_path / "a.bin").write_bytes(bytes(400))
    ids = ["source=text", f"path={tmp_path}/a.bin", "dtype=uint16", "vocab_size=9"]
    assert load(None, ids).warnings == ()
