import gzip
from pathlib import Path

import pytest

from moe_lab.config import Config, load

EMPTY = """error: the file is empty
  --> bad.yaml
  help: every key has a default; write at least one, such as 'seed: 0'"""


@pytest.mark.parametrize("text", ["", "# only a comment\n", "\ufeff", "---\n...\n"])
def test_an_empty_file_is_refused(refusal, text):
    assert "bad.yaml" in refusal(text)
    assert refusal("") == EMPTY


def test_the_top_level_must_be_keys(refusal):
    assert "the top level is a single value" in refusal("just a string")
    assert "the top level is a list" in refusal("- a")


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"\x89PNG\r\n\x1a\n", "bad.yaml is a PNG image, not a config"),
        (gzip.compress(b"x", mtime=0), "bad.yaml is a gzip archive, not a config"),
        (b"PK\x03\x04...", "bad.yaml is a ZIP archive, as PyTorch's checkpoints are"),
        ("seed: 0".encode("utf-16"), "bad.yaml is UTF-16\n  help: save it as UTF-8"),
        (b"#" * 1_000_001, "bad.yaml is larger than 1,000,000 bytes"),
        (b"seed: 0\n#" + b"x" * 5_000, "a line of more than 5,000 characters\n  --> bad.yaml:2:1"),
    ],
)
def test_files_of_another_kind_are_named(refusal, raw, said):
    assert said in refusal(raw)


def test_a_byte_that_is_not_utf_8_is_located(refusal):
    assert refusal("seed: 0\nname: café\n".encode("latin-1")).startswith(
        "error: byte 0xe9 is not UTF-8\n  --> bad.yaml:2:10\n"
    )


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_counts_as_one(refusal, end):
    assert "--> bad.yaml:3:1" in refusal(f"seed: 0{end}name: x{end}nope: 1{end}")


def test_a_byte_order_mark_is_not_part_of_the_text(tmp_path: Path):
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfseed: 3")
    assert load(tmp_path / "a.yaml").config.seed == 3


def test_a_missing_config_suggests_its_neighbour(refusal):
    Path("conf.yaml").write_text("seed: 0")
    with pytest.raises(Exception, match=r"config not found: confg.yaml") as caught:
        load("confg.yaml")
    assert caught.value.problems[0].help == "did you mean 'conf.yaml'?"


def test_a_directory_is_no_config(tmp_path: Path):
    with pytest.raises(Exception, match="Is a directory"):
        load(tmp_path)


def test_a_child_replaces_keys_of_its_parents_section_by_section(tmp_path: Path):
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "a.yaml").write_text(
        "seed: 1\nmoe: {top_k: 2, alpha: 1, router: {name: top_k, renormalize: true}}\n"
    )
    (tmp_path / "b.yaml").write_text("extends: base/a.yaml\nmoe: {alpha: 0.5, router: top_k}\n")
    (tmp_path / "c.yaml").write_text("extends: b.yaml\nname: c\n")
    resolved = load(tmp_path / "c.yaml")
    moe = resolved.config.moe
    assert (resolved.config.seed, moe.top_k, moe.alpha) == (1, 2, 0.5)
    assert moe.router == Config().moe.router  # a method is replaced whole
    assert resolved.origins["moe.top_k"] == f"{tmp_path}/base/a.yaml:2"
    assert resolved.origins["moe.alpha"] == f"{tmp_path}/b.yaml:2"
    assert resolved.raw == b"extends: b.yaml\nname: c\n"


def test_another_data_source_drops_the_keys_of_the_old_one_but_not_seq_len(tmp_path: Path):
    (tmp_path / "text.txt").write_bytes(b"x" * 1000)
    (tmp_path / "a.yaml").write_text("data: {n_domains: 4, seq_len: 32}\n")
    (tmp_path / "b.yaml").write_text("extends: a.yaml\ndata: {source: text, path: text.txt}\n")
    data = load(tmp_path / "b.yaml").config.data
    assert data.model_dump() == {
        "source": "text",
        "path": str(tmp_path / "text.txt"),
        "weights": None,
        "tokenizer": None,
        "dtype": "bytes",
        "vocab_size": None,
        "seq_len": 32,
    }


def test_a_circle_of_parents_is_refused(refusal):
    Path("a.yaml").write_text("extends: bad.yaml")
    assert refusal("seed: 0\nextends: a.yaml").startswith(
        "error: 'extends' goes in a circle\n  --> a.yaml:1:10\n"
    )


def test_extends_takes_one_file_name(refusal):
    assert "'extends': expected the name of one file" in refusal("extends: [a.yaml, b.yaml]")
    assert "'extends': expected the name of one file" in refusal("extends:")


def test_a_missing_parent_is_located_in_the_child(refusal):
    assert "config not found: nope.yaml\n  --> bad.yaml:1:10" in refusal("extends: nope.yaml")


def test_problems_of_the_child_come_before_those_of_its_parent(refusal):
    Path("a.yaml").write_text("nope: 1")
    text = refusal("extends: a.yaml\nseed: -1\n", ["seeed=1"])
    assert [line for line in text.splitlines() if "-->" in line] == [
        "  --> bad.yaml:2:7",
        "  --> a.yaml:1:1",
        "  --> command line: seeed=1",
    ]
