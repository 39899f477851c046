from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_lab.config import Clusters, Domains, Text, load


@pytest.mark.parametrize(
    ("text", "place", "message", "remedy"),
    [
        (
            "data: {vocab_size: 4096}",
            "1:8",
            "'data.vocab_size' (4096) needs 1.1 GB for the laws of 8 domains",
            "use vocab_size <= 2048, or fewer domains",
        ),
        (
            "data: {n_domains: 3, domain_weights: [1, 9]}",
            "1:22",
            "'data.domain_weights' has 2 numbers for 3 domains",
            "give one for each domain",
        ),
        (
            "data: {n_domains: 2, domain_weights: [1, 9], domain_zipf: 1}",
            "1:46",
            "'data.domain_zipf' and 'data.domain_weights' both say how frequent domains are",
            "keep one of the two",
        ),
        (
            "data: {hidden_tag: true, n_domains: 64, vocab_size: 63}",
            "1:41",
            "'data.hidden_tag' needs a token for each of 64 domains, but 'data.vocab_size' is 63",
            "use vocab_size >= 64",
        ),
        (
            "data: {generator: ipf_zipf, common: 0.001}",
            "1:29",
            "'data.common' (0.001) is too small to fit the laws of ipf_zipf",
            "use common >= 0.01",
        ),
        (
            "data: {source: text, path: a.txt, dtype: uint16}",
            "1:35",
            "'data.dtype' uint16 needs 'data.vocab_size', the number of different ids",
            "add vocab_size, such as 50257 for the tokens of GPT-2",
        ),
        (
            "data: {source: text, path: a.txt, vocab_size: 300}",
            "1:35",
            "'data.vocab_size' (300): text has the vocabulary of bytes",
            "remove it, or say with dtype: uint16 that the files hold token ids",
        ),
    ],
)
def test_contradictions_among_the_datas_keys_are_refused(refusal, text, place, message, remedy):
    Path("a.txt").write_bytes(b"x" * 1000)
    rendered = refusal(text)
    assert rendered.startswith(f"error: {message}\n  --> bad.yaml:{place}\n")
    assert rendered.endswith(f"help: {remedy}")


def test_a_tokenizer_reads_no_ids_and_brings_its_own_vocabulary(refusal):
    Path("a.txt").write_bytes(b"x" * 1000)
    text = "data: {source: text, path: a.txt, tokenizer: t.json, dtype: uint16, vocab_size: 9}"
    assert "'data.tokenizer' reads text, but 'data.dtype' uint16 says" in refusal(text)
    text = "data: {source: text, path: a.txt, tokenizer: t.json, vocab_size: 9}"
    assert "text has the vocabulary of its tokenizer" in refusal(text)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["generator=birkhoff", "common=0.1"], "'data.common' (0.1) has no effect"),
        (["generator=birkhoff", "zipf=1"], "'data.zipf' (1) has no effect"),
        (["cluster_size=12"], "'data.cluster_size' (12) has no effect"),
        (["concentration=1", "cluster_size=10"], "(10) and 'train.batch_size' (24) do not divide"),
    ],
)
def test_what_has_no_effect_or_does_not_fit_is_warned_about(settings, message):
    (warning,) = load(None, settings).warnings
    assert message in warning.message


@pytest.mark.parametrize(
    "settings",
    [
        ["generator=birkhoff"],
        ["concentration=0.1"],
        ["concentration=0.1", "cluster_size=48"],
        ["concentration=0.1", "cluster_size=8"],
        ["generator=ipf_zipf", "common=0.01"],
        ["hidden_tag=true", "n_domains=8", "vocab_size=8"],
        ["domain_weights=[1, 9]", "n_domains=2"],
        ["source=clusters", "n_domains=2"],
    ],
)
def test_what_fits_is_taken_without_a_word(settings):
    assert load(None, settings).warnings == ()


def test_ids_that_would_be_read_as_bytes_are_warned_about(tmp_path: Path):
    (tmp_path / "a.bin").write_bytes(b"x" * 1000)
    (warning,) = load(None, ["source=text", f"path={tmp_path}/a.bin"]).warnings
    assert warning.message == "'data.path' names a .bin file, which is read as bytes"
    assert warning.help == "if it holds token ids: dtype=uint16 vocab_size=N"
    ids = ["source=text", f"path={tmp_path}/a.bin", "dtype=uint16", "vocab_size=65536"]
    assert load(None, ids).warnings == ()


def test_what_is_known_of_a_source_is_known_from_its_settings(tmp_path: Path):
    (tmp_path / "a.txt").touch()
    file = Text(source="text", path=str(tmp_path / "a.txt"))
    assert (Domains().labelled, Domains().law_known) == (True, True)
    assert (Clusters(source="clusters").labelled, Clusters.law_known) == (True, True)
    assert (file.labelled, file.law_known) == (False, False)
    for path in (str(tmp_path), {"a": "a.txt", "b": "b.txt"}, "/gone"):
        assert Text(source="text", path=path).labelled


whatever = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from([1e6, 1e6 + 1, 1]),
    st.text(),
    st.lists(st.floats(), max_size=3),
)


@given(whatever, whatever)
def test_only_numbers_above_0_up_to_a_million_are_weights(one: Any, other: Any):
    numbers = [type(x) in (int, float) and 0 < x <= 1e6 for x in (one, other)]
    fields = {"domain_weights": (one, other), "n_domains": 2}
    if all(numbers):
        assert Domains(**fields).domain_weights == (float(one), float(other))
    else:
        with pytest.raises(ValueError, match="not a list of weights"):
            Domains(**fields)
