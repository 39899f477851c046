"""Runs of two ranks from the command line: what they leave behind, and how they end."""

import shutil
import signal
import time
from pathlib import Path

import pytest
from conftest import results, rows, small

from moe_lab.store.read import StoredRun

from .processes import PATIENCE, Rank, end, start
from .work import interrupted, moe_lab, refuse_on_the_second, step_with_an_infinite_token

pytestmark = pytest.mark.engines

SETTINGS = ("name=x", "batch_size=5", "noise=0.3", "eval.every=5", "checkpoint.every=4")
EXPLODES = ("lr=10", "weight_decay=1000", "warmup=0", "grad_clip=null", "lr_schedule=constant")
GONE = 30  # seconds within which a rank notices that another one has died


def train(folder: Path, *settings: object, world_size: int = 2) -> list[Rank]:
    asked = small(*SETTINGS, *settings)
    return start(folder, moe_lab, "train", *asked, "--runs-dir", folder, world_size=world_size)


def resume(folder: Path, *options: object, world_size: int = 2) -> list[Rank]:
    return start(folder, moe_lab, "resume", folder / "x", *options, world_size=world_size)


def wait_for_step(folder: Path, step: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while not (folder / "x").exists() or len(rows(folder / "x", "steps")) < step:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run by two ranks, to be read."""
    folder = tmp_path_factory.mktemp("undisturbed")
    ranks = train(folder)
    assert end(ranks) == [0, 0], [rank.text for rank in ranks]
    assert ranks[0].text.splitlines()[-1] == str(folder / "x")
    assert ranks[1].text == ""
    return folder / "x"


def test_a_second_run_by_two_ranks_has_the_same_bytes(undisturbed: Path, tmp_path: Path):
    assert end(train(tmp_path)) == [0, 0]
    assert results(tmp_path / "x") == results(undisturbed)


def test_a_run_says_how_many_ranks_made_it_and_what_that_promises(undisturbed: Path):
    record = StoredRun(undisturbed).record
    assert record["world_size"] == 2
    assert "world_size" in record["determinism"]["depends_on"]
    assert "gloo" in record["determinism"]["level"]
    assert StoredRun(undisturbed).state == "finished"
    timing = rows(undisturbed, "timing")[-1]  # of both ranks: 5 sequences of 16 tokens
    per_second = 5 * 16 / (float(timing["step_ms"]) / 1000)
    assert float(timing["tokens_per_s"]) == pytest.approx(per_second)


@pytest.mark.parametrize("struck", [[1], [0, 1]], ids=["one", "all"])
def test_a_signal_to_any_rank_saves_the_run_which_then_goes_on_undisturbed(
    undisturbed: Path, tmp_path: Path, struck: list[int]
):
    ranks = start(tmp_path, interrupted, tmp_path, small(*SETTINGS), struck)
    assert end(ranks) == [143, 143], [rank.text for rank in ranks]
    stored = StoredRun(tmp_path / "x")
    assert (stored.state, stored.status["step"]) == ("stopped", 6)
    command = f"torchrun --nproc-per-node 2 -m moe_lab resume {tmp_path / 'x'}"
    assert f"stopped after step 6; go on with: {command}\n" in ranks[0].text
    assert ranks[1].text == ""
    assert end(resume(tmp_path)) == [0, 0]
    assert results(tmp_path / "x") == results(undisturbed)
    events = [event["kind"] for event in StoredRun(tmp_path / "x").events]
    assert events == ["start", "stop", "resume", "finish"]


def test_a_limit_of_time_is_one_of_all_ranks(tmp_path: Path):
    asked = small(*SETTINGS)
    ranks = start(tmp_path, moe_lab, "train", *asked, "--runs-dir", tmp_path, "--max-minutes", 0)
    assert end(ranks) == [75, 75], [rank.text for rank in ranks]
    assert StoredRun(tmp_path / "x").status["reason"] == "max-minutes"


@pytest.mark.parametrize("killed", [0, 1])
def test_a_rank_that_is_killed_ends_the_other_and_the_last_commit_is_intact(
    undisturbed: Path, tmp_path: Path, killed: int
):
    shutil.copytree(undisturbed, tmp_path / "golden")
    ranks = train(tmp_path, "steps=3000", "lr_schedule=constant")
    wait_for_step(tmp_path, 10)
    ranks[killed].send(signal.SIGKILL)
    codes = end(ranks, within=GONE)
    assert codes[killed] == -signal.SIGKILL
    assert codes[1 - killed] == 4, ranks[1 - killed].text
    assert "Traceback" not in ranks[1 - killed].text
    assert "cannot reach the other ranks" in ranks[1 - killed].text
    stored = StoredRun(tmp_path / "x")
    before = stored.status["step"]
    assert before >= 8
    assert stored.state == ("interrupted" if killed == 0 else "failed")
    if killed == 1:
        command = f"torchrun --nproc-per-node 2 -m moe_lab resume {tmp_path / 'x'}"
        assert f"step {before} is intact; go on with: {command}" in ranks[0].text
    assert end(resume(tmp_path, "--max-minutes", "0")) == [75, 75]
    assert StoredRun(tmp_path / "x").status["step"] >= before


# What is refused


@pytest.mark.parametrize("world_size", [1, 3])
def test_another_number_of_ranks_cannot_go_on(undisturbed: Path, tmp_path: Path, world_size: int):
    shutil.copytree(undisturbed, tmp_path / "x")
    (tmp_path / "x" / "summary.json").unlink()
    before = results(tmp_path / "x")
    ranks = resume(tmp_path, world_size=world_size)
    assert end(ranks) == [2] * world_size
    command = f"torchrun --nproc-per-node 2 -m moe_lab resume {tmp_path / 'x'}"
    assert f"was begun by 2 ranks, and {world_size} would go on" in ranks[0].text
    assert f"go on with: {command}" in ranks[0].text
    for rank in ranks[1:]:
        assert rank.text.count("\n") == 1
        assert rank.text.startswith("rank ")
    assert results(tmp_path / "x") == before


def test_a_run_of_one_process_is_refused_to_two_ranks(finished: Path, tmp_path: Path):
    shutil.copytree(finished, tmp_path / "x")
    (tmp_path / "x" / "summary.json").unlink()
    ranks = resume(tmp_path)
    assert end(ranks) == [2, 2]
    assert "was begun by 1 rank, and 2 would go on" in ranks[0].text
    assert f"go on with: moe-lab resume {tmp_path / 'x'}" in ranks[0].text


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("batch_size=1",), "2 ranks cannot share 'train.batch_size' 1: each needs a sequence"),
        (("top_k=9",), "top_k"),
        (("name=taken",), "taken already exists"),
    ],
)
def test_what_is_refused_ends_all_ranks_is_said_once_and_writes_nothing(
    tmp_path: Path, settings: tuple[str, ...], said: str
):
    (tmp_path / "runs" / "taken").mkdir(parents=True)
    asked = small(*SETTINGS, *settings)
    ranks = start(tmp_path, moe_lab, "train", *asked, "--runs-dir", tmp_path / "runs")
    assert end(ranks) == [2, 2]
    assert said in ranks[0].text
    assert ranks[1].text.count("\n") == 1
    assert ranks[1].text.startswith("rank 1: error: ")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["taken"]


def test_what_one_rank_alone_refuses_is_said_by_the_first(tmp_path: Path):
    ranks = start(tmp_path, refuse_on_the_second)
    assert end(ranks) == [5, 5], [rank.text for rank in ranks]
    assert ranks[0].text == "error: on rank 1: no such data\n"


# A loss that is not finite


def test_a_loss_that_is_not_finite_on_one_rank_is_one_of_all_in_the_same_step(tmp_path: Path):
    asked = small(*SETTINGS, "batch_size=2", "vocab_size=64", "n_domains=1")
    ranks = start(tmp_path, step_with_an_infinite_token, asked)
    assert end(ranks) == [0, 0], [rank.text for rank in ranks]
    fault = "the loss became nan (router logits are not finite in layer 0, 1)\n"
    assert [rank.text for rank in ranks] == [fault, fault]


def test_divergence_ends_all_ranks_and_is_said_by_the_first(tmp_path: Path):
    ranks = train(tmp_path, *EXPLODES)
    assert end(ranks) == [6, 6], [rank.text for rank in ranks]
    assert "became" in ranks[0].text
    assert "the last checkpoint, of step" in ranks[0].text
    assert ranks[1].text.startswith("rank 1: error: the ")
    assert StoredRun(tmp_path / "x").state == "diverged"
