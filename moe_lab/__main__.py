"""`python -m moe_lab`, the same as the command `moe-lab`."""

from moe_lab.cli import app

app()
