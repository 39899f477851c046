"""What the model reads: one file per source."""
