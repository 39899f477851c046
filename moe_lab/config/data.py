"""Settings of what the model reads: one class per source."""

import os.path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from moe_lab.config.methods import Settings

LARGEST_WEIGHT = 1e6
SeqLen = Annotated[int, Field(ge=8, le=65536, description="Tokens per sequence.")]


def _positive(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value <= LARGEST_WEIGHT


def _list_of_weights(value: Any) -> Any:
    listed = value and isinstance(value, tuple) and all(map(_positive, value))
    if value is not None and not listed:
        raise PydanticCustomError("positive_numbers", "not a list of weights")
    return value


def _weights_by_label(value: Any) -> Any:
    mapped = value and isinstance(value, dict) and all(map(_positive, value.values()))
    if value is not None and not mapped:
        raise PydanticCustomError("labelled_numbers", "not a mapping of labels to weights")
    return value


def _files(value: Any) -> Any:
    names = value.values() if isinstance(value, dict) else (value,)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise PydanticCustomError("text_files", "not a path, and not a mapping of labels to paths")
    return value


class Source(Settings):
    """What is known of every source before it is built."""

    law_known: ClassVar[bool] = False  # whether the best possible predictor is known

    @property
    def labelled(self) -> bool:
        """Whether every token has a domain that tells something."""
        return True


class Domains(Source):
    """Synthetic language: domains with known laws, whose best possible loss is computed exactly."""

    law_known: ClassVar[bool] = True

    source: Literal["domains"] = Field("domains", description="Where tokens come from.")
    generator: Literal["common_zipf", "permuted_zipf", "birkhoff", "ipf_zipf"] = Field(
        "common_zipf",
        description="How next-token laws are drawn: successors from one Zipf law, or from its reordering in each "
        "domain; birkhoff, ipf_zipf: so that a token alone tells nothing about its domain.",
    )
    n_domains: int = Field(8, ge=1, le=256, description="Number of latent domains.")
    vocab_size: int = Field(256, ge=8, le=65536, description="Number of different tokens.")
    common: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Share of every next-token law that is one Zipf law; birkhoff has none.",
    )
    zipf: float = Field(1.2, ge=0, le=10, description="Exponent of the common Zipf law.")
    separation: float = Field(
        1.0, ge=0, le=1, description="0: all domains have the same law; 1: each only its own."
    )
    switching: float = Field(
        0.0, ge=0, le=1, description="Probability per token that the domain is drawn anew."
    )
    hidden_tag: bool = Field(
        False, description="Whether the first token names the domain: token d for domain d."
    )
    domain_zipf: float = Field(
        0.0, ge=0, le=10, description="Exponent of a Zipf law over domains; 0: equally frequent."
    )
    domain_weights: Annotated[tuple[float, ...] | None, BeforeValidator(_list_of_weights)] = Field(
        None, description="How frequent each domain is, up to a factor; null: by domain_zipf."
    )
    concentration: float | None = Field(
        None,
        gt=0,
        le=1e6,
        description="Clusters of training sequences share domain frequencies from Dirichlet(concentration * "
        "frequencies): near 0, one domain per cluster; null: independent sequences.",
    )
    cluster_size: int = Field(
        24, ge=1, le=1_000_000, description="Sequences per cluster, normally train.batch_size."
    )
    seq_len: SeqLen = 64


class Clusters(Source):
    """Blocks of two signal tokens, a cluster token and the label that the cluster's signal carries."""

    law_known: ClassVar[bool] = True

    source: Literal["clusters"] = Field(description="Where tokens come from.")
    n_domains: int = Field(8, ge=2, le=256, description="Number of latent clusters.")
    seq_len: SeqLen = 64


class Text(Source):
    """Files, read as bytes, through a tokenizer, or as token ids; each file is a domain."""

    source: Literal["text"] = Field(description="Where tokens come from.")
    path: Annotated[str | dict[str, str], BeforeValidator(_files)] = Field(
        description="A file, a folder, or {label: file, …}; relative to this config, or on the command line to "
        "where you are.",
    )
    weights: Annotated[dict[str, float] | None, BeforeValidator(_weights_by_label)] = Field(
        None, description="How often each label is read, up to a factor; null: by size."
    )
    tokenizer: str | None = Field(
        None,
        description="A tokenizer.json of Hugging Face tokenizers, for files up to 1 GiB; null: a byte is a token.",
    )
    dtype: Literal["bytes", "uint16", "uint32"] = Field(
        "bytes",
        description="What the files hold: bytes of text, or little-endian token ids, up to 16 GiB.",
    )
    vocab_size: int | None = Field(
        None, ge=2, le=2**20, description="Number of different token ids; text has its own."
    )
    seq_len: SeqLen = 64

    @property
    def labelled(self) -> bool:
        """Whether there can be several files; of a path that is gone nothing else is known."""
        named = isinstance(self.path, str) and os.path.isfile(self.path)  # noqa: PTH113 - never raises
        return not named


def _source(value: Any) -> str | None:
    if isinstance(value, dict):
        return str(value.get("source", "domains"))
    return getattr(value, "source", None)


DATA: dict[str, type[Source]] = {"domains": Domains, "clusters": Clusters, "text": Text}
Data = Annotated[
    Annotated[Domains, Tag("domains")]
    | Annotated[Clusters, Tag("clusters")]
    | Annotated[Text, Tag("text")],
    Discriminator(_source),
]
