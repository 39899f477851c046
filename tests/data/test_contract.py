"""What every source of tokens promises."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from moe_lab.config.data import DATA
from moe_lab.data.base import Batch, Source
from moe_lab.data.clusters import Clusters
from moe_lab.data.domains import Domains
from moe_lab.data.text import Text
from moe_lab.registry import SOURCES

SEQ_LEN = 12


def sources(folder: Path, seed: int = 0) -> dict[str, Source]:
    """One of each, as small as it can be useful."""
    texts = folder / "texts"
    texts.mkdir(exist_ok=True)
    for index, size in enumerate((4000, 1500)):
        (texts / f"{index}.txt").write_bytes(np.random.default_rng(index).bytes(size))
    small = {"n_domains": 3, "seq_len": SEQ_LEN}
    switching = {"switching": 0.2, "hidden_tag": True, "domain_zipf": 1.0}
    return {
        "domains": Domains(seed, vocab_size=16, **small),
        "domains that switch": Domains(seed, vocab_size=16, **switching, **small),
        "domains in clusters": Domains(
            seed, vocab_size=16, concentration=0.5, cluster_size=7, **small
        ),
        "birkhoff": Domains(seed, vocab_size=16, generator="birkhoff", **small),
        "clusters": Clusters(seed, **small),
        "text": Text(seed, path=str(texts / "0.txt"), seq_len=SEQ_LEN),
        "texts": Text(seed, path=str(texts), seq_len=SEQ_LEN),
        "ids": Text(
            seed, path=str(texts / "0.txt"), dtype="uint16", vocab_size=65536, seq_len=SEQ_LEN
        ),
    }


NAMES = (
    "domains",
    "domains that switch",
    "domains in clusters",
    "birkhoff",
    "clusters",
    "text",
    "texts",
    "ids",
)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def source(name: str, tmp_path: Path) -> Source:
    return sources(tmp_path)[name]


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(getattr(one, part), getattr(other, part)) for part in vars(one))


def joined(*batches: Batch) -> Batch:
    parts = vars(batches[0])
    return Batch(*(torch.cat([getattr(batch, part) for batch in batches]) for part in parts))


def test_targets_are_the_inputs_one_token_later(source):
    batch = source.batch(1, 0, 5)
    for part in vars(batch).values():
        assert part.shape == (5, SEQ_LEN)
        assert part.dtype == torch.int64
        assert part.is_contiguous()
    assert torch.equal(batch.inputs[:, 1:], batch.targets[:, :-1])
    assert 0 <= batch.inputs.min() <= batch.inputs.max() < source.vocab_size
    assert 0 <= batch.domains.min() <= batch.domains.max() < len(source.domains)


def test_a_step_can_be_divided_in_any_way(source):
    whole = source.batch(3, 0, 24)
    assert same(whole, joined(source.batch(3, 0, 10), source.batch(3, 10, 14)))
    assert same(whole, joined(*(source.batch(3, i, 1) for i in range(24))))


def test_a_batch_is_a_function_of_the_step_alone(source):
    first = source.batch(2, 0, 6)
    source.held_out(200)
    source.batch(1, 0, 6)
    assert same(source.batch(2, 0, 6), first)
    assert not same(source.batch(4, 0, 6), first)


def test_another_seed_draws_other_sequences(source, name, tmp_path):
    batch = source.batch(1, 0, 6)
    assert same(sources(tmp_path)[name].batch(1, 0, 6), batch)
    assert not same(sources(tmp_path, seed=1)[name].batch(1, 0, 6), batch)


def test_held_out_data_are_fixed_whole_sequences_within_the_limit(source):
    # 5 sequences of 12 tokens are 60, 6 would be 72.
    assert source.held_out(71).inputs.shape == (5, SEQ_LEN)
    assert source.held_out(1).inputs.shape == (1, SEQ_LEN)
    assert same(source.held_out(71), source.held_out(71))


def test_no_training_sequence_is_held_out(source):
    held_out = {tuple(row) for row in source.held_out(600).inputs.tolist()}
    trained = {
        tuple(row) for step in range(20) for row in source.batch(step, 0, 50).inputs.tolist()
    }
    assert not held_out & trained


def test_the_fingerprint_names_the_data(source, name, tmp_path):
    assert len(source.fingerprint) == 64
    assert sources(tmp_path)[name].fingerprint == source.fingerprint


def test_the_worst_known_loss_is_that_of_knowing_nothing(source):
    ladder = source.ladder()
    assert (ladder[0].name, ladder[0].loss) == ("uniform", np.log(source.vocab_size))
    assert all(
        worse.loss > better.loss - 4 * worse.error - 1e-12 for worse, better in pairwise(ladder)
    )


def test_a_best_predictor_gives_a_law_at_every_position(source):
    batch = source.batch(1, 0, 5)
    best = source.bayes(batch)
    if best is not None:
        assert best.shape == (5, SEQ_LEN, source.vocab_size)
        assert (best >= 0).all()
        assert (np.take_along_axis(best, batch.targets.numpy()[..., None], -1) > 0).all()
        np.testing.assert_allclose(best.sum(-1), 1, rtol=1e-12)


def test_a_most_probable_domain_is_known_where_the_law_is(source):
    batch = source.batch(1, 0, 5)
    guessed = source.map_domains(batch)
    assert (guessed is None) == (source.bayes(batch) is None)
    if guessed is not None:
        assert guessed.shape == (5, SEQ_LEN)
        assert 0 <= guessed.min() <= guessed.max() < len(source.domains)


def test_labels_tell_something_where_there_are_several(source):
    assert source.labelled == (len(source.domains) > 1)


def test_what_the_settings_say_is_true_of_the_source(source):
    settings = DATA[type(source).__name__.lower()]
    assert settings.law_known == (source.bayes(source.batch(1, 0, 1)) is not None)


def test_every_source_has_settings_and_is_tested(tmp_path):
    kinds = {type(source).__name__.lower() for source in sources(tmp_path).values()}
    assert set(sources(tmp_path)) == set(NAMES)
    assert kinds == set(SOURCES.names()) == set(DATA)


def test_every_source_says_what_it_is(source):
    assert len(source.domains) == len(set(source.domains)) >= 1
    assert source.vocab_size >= 2
    assert SOURCES.load(type(source).__name__.lower()) is type(source)
