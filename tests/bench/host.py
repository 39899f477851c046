"""The machine that numbers come from, and the fastest that it multiplies matrices."""

import importlib.metadata
import os
import platform
from pathlib import Path

import tables
import torch
from clock import best_of

PRODUCT_FLOPS = 2 * 2048**3
PACKAGES = ("torch", "numpy", "transformers", "st-moe-pytorch", "mixture-of-experts")


def describe() -> None:
    """Processor and versions, as a table."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    tables.title("Machine")
    tables.table(
        ("", ""),
        [
            ("processor", f"{os.cpu_count()} × {_processor()}"),
            ("instructions", torch.backends.cpu.get_cpu_capability()),
            ("system", f"{platform.system()} {platform.machine()}"),
            ("Python", platform.python_version()),
            ("packages", versions),
            ("CUDA", torch.cuda.get_device_name() if torch.cuda.is_available() else "none"),
        ],
    )


def product(threads: int) -> float:
    """Seconds of an fp32 product of two 2048 × 2048 matrices, by wall clock: its share of a core is all of it."""
    torch.set_num_threads(threads)
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    return best_of(lambda: a @ b, 3)


def _processor() -> str:
    """The model's name as Linux has it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "?")
