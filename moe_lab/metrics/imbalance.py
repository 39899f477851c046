"""Imbalance inside batches against imbalance of their total."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moe_lab.metrics.floor import cv_floor
from moe_lab.metrics.loads import cv, load


@dataclass(frozen=True)
class BatchImbalance:
    """batch_cv2 = global_cv2 + between_batches, exactly."""

    batch_cv2: float  # mean over batches of CV^2
    global_cv2: float  # CV^2 of all batches together
    between_batches: float  # E * sum over experts of the variance of their load between batches
    floor: float  # of batch_cv2 under uniformly random routing; between_batches has 1 - 1/B of it


def batch_imbalance(
    counts: Sequence[Sequence[int]] | NDArray[np.int64], *, top_k: int
) -> BatchImbalance:
    """Split the mean CV^2 of B equal-sized batches (B, E) into what stays in their total and what averages out.

    mean_b CV_b^2 = CV^2 of the total + E sum_i Var_b(q_bi), population variance. In batches of one domain each, what
    is between batches above the floor is specialization and no defect. CV_b^2 lies in [0, E/k - 1].
    """
    n = np.asarray(counts)
    sizes = n.sum(1)
    assert (sizes == sizes[0]).all(), "batches must be of equal size"
    shares = n / sizes[:, None]
    n_experts = n.shape[1]
    return BatchImbalance(
        batch_cv2=float(np.mean([cv(q) ** 2 for q in shares])),
        global_cv2=cv(load(n.sum(0))) ** 2,
        between_batches=n_experts * float(shares.var(0).sum()),
        floor=cv_floor(n_experts, top_k, int(sizes[0]) // top_k) ** 2,
    )
