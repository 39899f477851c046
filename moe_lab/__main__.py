"""`python -m moe_lab`, the same as the command `moe-lab`."""

from moe_lab.cli import app

if __name__ == "__main__":  # the workers of a sweep import it, too
    app()
