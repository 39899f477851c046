"""What ranges cannot say about the data: settings that contradict each other, and what has no effect."""

import math
from collections.abc import Iterator

from moe_lab.config.data import Domains, Text
from moe_lab.config.findings import Finding
from moe_lab.config.schema import Config

LARGEST_TABLE = (
    2**25
)  # entries of (domain, token, next token): 0.3 GB, and several times that while built
LEAST_COMMON = 0.01  # of ipf_zipf: its fit takes some 300 sweeps at 0.01, and thousands far below
WITHOUT_EFFECT = {"birkhoff": ("common", "zipf")}  # keys that a generator does not read


def data_refusals(config: Config) -> Iterator[Finding]:
    """Every contradiction among the data's keys, with its reason."""
    data = config.data
    if isinstance(data, Domains):
        yield from _tables(data)
        yield from _frequencies(data)
        yield from _tags(data)
        yield from _fit(data)
    elif isinstance(data, Text):
        yield from _tokens(data)


def _tables(data: Domains) -> Iterator[Finding]:
    entries = data.n_domains * data.vocab_size**2
    if entries > LARGEST_TABLE:
        largest = math.isqrt(LARGEST_TABLE // data.n_domains)
        yield Finding(
            ("data.vocab_size", "data.n_domains"),
            f"'data.vocab_size' ({data.vocab_size}) needs {entries * 8 / 1e9:.1f} GB "
            f"for the laws of {data.n_domains} domains",
            f"use vocab_size <= {largest}, or fewer domains",
        )


def _frequencies(data: Domains) -> Iterator[Finding]:
    weights = data.domain_weights
    if weights and len(weights) != data.n_domains:
        yield Finding(
            ("data.domain_weights", "data.n_domains"),
            f"'data.domain_weights' has {len(weights)} numbers for {data.n_domains} domains",
            "give one for each domain",
        )
    if weights and data.domain_zipf:
        yield Finding(
            ("data.domain_zipf", "data.domain_weights"),
            "'data.domain_zipf' and 'data.domain_weights' both say how frequent domains are",
            "keep one of the two",
        )


def _tags(data: Domains) -> Iterator[Finding]:
    if data.hidden_tag and data.vocab_size < data.n_domains:
        yield Finding(
            ("data.vocab_size", "data.n_domains", "data.hidden_tag"),
            f"'data.hidden_tag' needs a token for each of {data.n_domains} domains, "
            f"but 'data.vocab_size' is {data.vocab_size}",
            f"use vocab_size >= {data.n_domains}",
        )


def _fit(data: Domains) -> Iterator[Finding]:
    if data.generator == "ipf_zipf" and data.common < LEAST_COMMON:
        yield Finding(
            ("data.common", "data.generator"),
            f"'data.common' ({data.common:g}) is too small to fit the laws of ipf_zipf",
            f"use common >= {LEAST_COMMON}",
        )


def _tokens(data: Text) -> Iterator[Finding]:
    ids = data.dtype != "bytes"
    if ids and data.tokenizer:
        yield Finding(
            ("data.dtype", "data.tokenizer"),
            f"'data.tokenizer' reads text, but 'data.dtype' {data.dtype} says that the files hold ids",
            "keep one of the two",
        )
    if ids and data.vocab_size is None:
        yield Finding(
            ("data.dtype",),
            f"'data.dtype' {data.dtype} needs 'data.vocab_size', the number of different ids",
            "add vocab_size, such as 50257 for the tokens of GPT-2",
        )
    if not ids and data.vocab_size is not None:
        owner = "its tokenizer" if data.tokenizer else "bytes"
        yield Finding(
            ("data.vocab_size",),
            f"'data.vocab_size' ({data.vocab_size}): text has the vocabulary of {owner}",
            "remove it, or say with dtype: uint16 that the files hold token ids",
        )


def data_warnings(config: Config) -> Iterator[Finding]:
    """What is done as asked, but may not be what was meant."""
    if isinstance(config.data, Domains):
        yield from _without_effect(config.data)
        yield from _cut_clusters(config.data, config.train.batch_size)
    elif isinstance(config.data, Text):
        yield from _ids_as_bytes(config.data)


def _without_effect(data: Domains) -> Iterator[Finding]:
    for key in WITHOUT_EFFECT.get(data.generator, ()):
        if getattr(data, key) != Domains.model_fields[key].default:
            yield Finding(
                (f"data.{key}",),
                f"'data.{key}' ({getattr(data, key):g}) has no effect: "
                f"'data.generator' is {data.generator}",
            )
    if (
        data.concentration is None
        and data.cluster_size != Domains.model_fields["cluster_size"].default
    ):
        yield Finding(
            ("data.cluster_size",),
            f"'data.cluster_size' ({data.cluster_size}) has no effect: sequences are independent",
            "set concentration",
        )


def _cut_clusters(data: Domains, batch_size: int) -> Iterator[Finding]:
    larger, smaller = max(data.cluster_size, batch_size), min(data.cluster_size, batch_size)
    if data.concentration is not None and larger % smaller:
        yield Finding(
            ("data.cluster_size", "train.batch_size"),
            f"'data.cluster_size' ({data.cluster_size}) and 'train.batch_size' ({batch_size}) do not divide "
            "each other: some batches hold parts of clusters",
            f"use cluster_size {batch_size}",
        )


def _ids_as_bytes(data: Text) -> Iterator[Finding]:
    paths = data.path.values() if isinstance(data.path, dict) else (data.path,)
    if data.dtype == "bytes" and any(path.endswith(".bin") for path in paths):
        yield Finding(
            ("data.path",),
            "'data.path' names a .bin file, which is read as bytes",
            "if it holds token ids: dtype=uint16 vocab_size=N",
        )
