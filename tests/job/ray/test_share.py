import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_lab.job.ray.share import Node, Share

SMALL: Node = {"CPU": 2.0, "memory": 1e9}
LARGE: Node = {"CPU": 8.0, "GPU": 2.0}


@pytest.mark.parametrize(
    ("threads", "device", "per_gpu", "nodes", "expected"),
    [
        (1, "cpu", 1, [SMALL, LARGE], 10),  # 2 + 8
        (3, "cpu", 1, [SMALL, LARGE], 2),  # 0 + 2: what is left over of two nodes makes no seat
        (1, "auto", 1, [SMALL], 2),
        (1, "auto", 1, [SMALL, LARGE], 2),  # there are GPUs: each run has one
        (1, "cuda", 3, [SMALL, LARGE], 6),  # 2 GPUs x 3
        (3, "cuda", 3, [SMALL, LARGE], 2),  # CPUs for 8 // 3
        (1, "cuda", 1, [SMALL], 0),
        (1, "cpu", 1, [], 0),
    ],
)
def test_a_node_has_as_many_seats_as_cpus_and_gpus_allow(
    threads: int, device: str, per_gpu: int, nodes: list[Node], expected: int
) -> None:
    share = Share.of(threads, device, per_gpu, nodes)
    assert sum(map(share.seats, nodes)) == expected


@given(st.integers(1, 64), st.integers(1, 16), st.integers(0, 256), st.integers(0, 16))
def test_what_the_seats_of_a_node_take_fits_it(
    threads: int, per_gpu: int, cpus: int, gpus: int
) -> None:
    share = Share.of(threads, "cuda", per_gpu, [])
    seats = share.seats({"CPU": cpus, "GPU": gpus})
    assert seats * share.cpus <= cpus
    assert seats * share.gpus <= gpus + 1e-9
    assert (seats + 1) * share.cpus > cpus or (seats + 1) * share.gpus > gpus - 1e-9


def test_who_asks_for_too_much_is_told_what_there_is() -> None:
    assert Share(4).lacking([SMALL, SMALL]) == (
        "no node has room for a run, which asks for 4 CPU: the largest of 2 has 2 CPU"
    )
    assert Share(1, per_gpu=3).lacking([SMALL]) == (
        "no node has room for a run, which asks for 1 CPU and 0.333 GPU: the largest of 1 has 2 CPU"
    )
    assert "the largest of 2 has 8 CPU and 2 GPU" in Share(16).lacking([SMALL, LARGE])
    assert "the largest of 0 has 0 CPU" in Share(1).lacking([])
