"""The door: each command parses, calls one function, prints. Results go to stdout, all else to stderr."""

from moe_lab.cli import training, sweeping, watching, reporting, exporting, reading, configs, doctor  # noqa: F401, I001  # in the order of --help
from moe_lab.cli.door import app

__all__ = ["app"]
