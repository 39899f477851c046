"""moe-lab: a laboratory for expert collapse in Mixture-of-Experts language models."""

__version__ = "0.1.0"
