"""What a run writes and a model holds, as formulas of the config: the tests hold them against real runs."""

from dataclasses import dataclass
from math import ceil

from moe_lab.config import Config

CELL = 12  # bytes of a table's cell with its comma, blank ones counted: 6 to 20 by table
STATE = 2_500  # bytes of a checkpoint that are no numbers


@dataclass(frozen=True)
class Written:
    """What a run does to the disk from its beginning to its end, undisturbed."""

    commits: int  # after that of step 0
    evaluations: int
    kept: int  # checkpoints

    @classmethod
    def of(cls, config: Config) -> "Written":
        """By a run of this config."""
        steps, every = config.train.steps, config.checkpoint.every
        commits = ceil(steps / every)
        kept = min(config.checkpoint.keep, 1 + commits)
        return cls(commits, 1 + ceil(steps / config.eval.every), kept)

    @property
    def files(self) -> int:
        """That are left: 7 records with the lock, 7 tables, arrays of each evaluation, 4 of each checkpoint."""
        return 14 + self.evaluations + 4 * self.kept

    @property
    def folders(self) -> int:
        """That are left."""
        return 3 + self.kept

    @property
    def syncs(self) -> int:
        """34 to begin and end, 2 of an evaluation, 15 of a commit: 7 tables, 4 files, 2 folders, the status twice."""
        return 34 + 2 * self.evaluations + 15 * self.commits

    @property
    def renames(self) -> int:
        """6 to begin and end; one of an evaluation, two of a commit, and one of each checkpoint that goes."""
        deleted = 1 + self.commits - self.kept
        return 6 + self.evaluations + 2 * self.commits + deleted


def cells(config: Config, n_domains: int) -> int:
    """Of all tables of a run, blank ones included."""
    from moe_lab.columns import tables
    from moe_lab.model import ALWAYS_MEASURED

    named = tables(
        n_experts=config.moe.n_experts,
        balancers=ALWAYS_MEASURED,
        domains=[f"domain_{i}" for i in range(n_domains)],
    )
    steps, evaluations = config.train.steps // config.log.every, Written.of(config).evaluations
    layers = config.model.n_layers
    rows = {"steps": steps, "timing": steps, "eval": evaluations, "router": layers * evaluations}
    both = layers * (steps + evaluations)  # of training and of evaluation
    return sum(rows.get(name, both) * len(columns) for name, columns in named.items())


def checkpoint(config: Config, vocab_size: int) -> int:
    """Bytes: weights and two moments of each, in float32."""
    return 12 * parameters(config, vocab_size)[0] + STATE


def parameters(config: Config, vocab_size: int) -> tuple[int, int]:
    """Of a model, all and those that a token uses; nothing is allocated."""
    import torch

    from moe_lab.model import LanguageModel

    with torch.device("meta"):
        sizes = {n: p.numel() for n, p in LanguageModel(config, vocab_size).named_parameters()}
    experts = sum(size for name, size in sizes.items() if ".experts." in name)
    total, share = sum(sizes.values()), config.moe.top_k / config.moe.n_experts
    return total, round(total - experts * (1 - share))
