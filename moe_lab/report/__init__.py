"""Reading runs: what happened, and how two of them differ."""
