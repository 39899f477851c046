"""Runs at several seeds: one row per arm, with intervals and paired differences."""

import pytest
from conftest import Cli, small

from moe_lab.report import replicates
from moe_lab.report.outcomes import Glance, glances
from moe_lab.statistics import interval, paired

ALPHAS, SEEDS = ("0.0", "0.5"), (3, 4, 5)


@pytest.fixture(scope="module")
def runs(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> list[Glance]:
    folder = tmp_path_factory.mktemp("runs")
    for alpha in ALPHAS:
        for seed in SEEDS:
            settings = small("steps=3", "eval.every=3", f"alpha={alpha}", f"seed={seed}")
            done = cli("train", *settings, f"name=a{alpha}-{seed}", "--runs-dir", folder)
            assert done.exit_code == 0, done.stderr
    return glances(sorted(folder.iterdir()))


def gaps(runs: list[Glance], alpha: float) -> list[float]:
    return [run.outcomes["gap"] for run in runs if run.config["moe"]["alpha"] == alpha]


def test_runs_that_differ_in_the_seed_alone_are_one_arm(runs):
    found = replicates.arms(runs)
    assert list(found) == [("0.0",), ("0.5",)]
    assert [list(arm) for arm in found.values()] == [list(SEEDS)] * 2
    assert replicates.are_replicated(runs)
    assert not replicates.are_replicated([runs[0], runs[3]])


def test_a_row_holds_means_with_intervals_and_the_paired_difference_from_the_first_arm(runs):
    header, rows = replicates.rows(runs)
    assert header[:3] == ("moe.alpha", "n", "gap")
    assert header[-2:] == ("gap - first", "lm_loss - first")
    low, high = gaps(runs, 0.0), gaps(runs, 0.5)
    assert rows[0][:3] == ("0.0", "3†", interval(low))
    assert rows[1][:3] == ("0.5", "3†", interval(high))
    assert (rows[0][-2], rows[1][-2]) == (None, paired(high, low))


def test_differences_are_paired_by_seed_whatever_the_order(runs):
    mixed = [runs[i] for i in (0, 1, 2, 5, 3, 4)]
    assert replicates.rows(mixed)[1][1][-2:] == replicates.rows(runs)[1][1][-2:]


def test_a_seed_that_one_arm_lacks_is_left_out_of_the_difference(runs):
    rows = replicates.rows(runs[1:])[1]
    low, high = gaps(runs, 0.0)[1:], gaps(runs, 0.5)
    assert rows[0][1:3] == ("2†", interval(low))
    assert rows[1][-2] == paired(high[1:], low)
    rows = replicates.rows(runs[:-1])[1]
    low, high = gaps(runs, 0.0), gaps(runs, 0.5)[:-1]
    assert rows[1][-2] == paired(high, low[:-1])


def test_the_report_of_replicated_runs_is_a_table_of_arms(runs, cli: Cli):
    done = cli("report", *(run.directory for run in runs))
    assert done.exit_code == 0, done.stderr
    assert str(interval(gaps(runs, 0.5))) in done.stdout
    assert "95 % t interval" in done.stdout
