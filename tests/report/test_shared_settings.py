"""What the header of a sweep says all runs share."""

from pathlib import Path

from moe_lab.report.shared_settings import facts

from .sweeps_by_hand import base


def test_main_settings_are_told_even_at_their_defaults():
    assert facts(base(), ["moe.alpha"]) == {
        "data.source": "domains",
        "data.n_domains": 8,
        "data.vocab_size": 256,
        "data.common": 0.5,
        "data.zipf": 1.2,
        "data.seq_len": 64,
        "model.n_layers": 2,
        "model.d_model": 64,
        "moe.n_experts": 8,
        "moe.top_k": 1,
        "moe.balance": "switch",
        "train.steps": 400,
        "train.tokens_per_step": 24 * 64,
    }


def test_other_settings_are_told_where_they_are_not_at_their_default():
    told = facts(
        base("lr=0.001", "switching=0.5", "noise=0.1", "score=sigmoid", "accumulate=2"), []
    )
    assert told["train.lr"] == 0.001
    assert told["data.switching"] == 0.5
    assert told["moe.noise"] == 0.1
    assert told["moe.router"] == "top_k score=sigmoid"
    assert told["train.tokens_per_step"] == 24 * 2 * 64
    assert told["moe.alpha"] == 0.01
    assert "name" not in told


def test_what_is_swept_is_not_shared():
    swept = ("moe.balance", "moe.router.score", "train.batch_size", "model.d_model")
    told = facts(base("score=sigmoid"), swept)
    assert not {"moe.balance", "moe.router", "train.tokens_per_step", "model.d_model"} & told.keys()


def test_with_its_source_all_of_the_data_is_swept():
    told = facts(base(), ["data.source"])
    assert not [key for key in told if key.startswith("data.")]
    assert "train.tokens_per_step" not in told


def test_a_weight_of_nothing_is_not_told():
    told = facts(base("balance=loss_free"), [])
    assert "moe.alpha" not in told
    assert told["moe.balance"] == "loss_free"


def test_of_files_only_names_and_labels_are_told(tmp_path: Path):
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    for path in (one, two):
        path.write_text("some words of text\n" * 500)
    assert facts(base("source=text", f"path={one}"), [])["data.path"] == "one.txt"
    assert facts(base("source=text", f"path={tmp_path}"), [])["data.path"] == tmp_path.name
    labelled = facts(base("source=text", f"path={{a: {one}, b: {two}}}"), [])
    assert labelled["data.path"] == "a, b"
    assert str(tmp_path) not in str(labelled)
    assert "data.vocab_size" not in labelled  # a byte is a token
