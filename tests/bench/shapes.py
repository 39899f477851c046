"""The sizes that contenders are built in, and what one step of each must compute."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Shape:
    """A model and a batch. V tokens in the vocabulary, width d, L blocks, H heads, E experts, k per token."""

    name: str
    vocab_size: int
    d_model: int
    n_layers: int
    n_heads: int
    n_experts: int
    seq_len: int
    batch_size: int
    top_k: int = 2

    @property
    def tokens(self) -> int:
        """Tokens per step."""
        return self.batch_size * self.seq_len

    @property
    def d_plain(self) -> int:
        """Hidden width of an expert of two matrices."""
        return 4 * self.d_model

    @property
    def d_gated(self) -> int:
        """Of one of three, for the same work: 8d/3, to a multiple of 8 as grouped products want it."""
        return 8 * round(self.d_model / 3)

    @property
    def flops(self) -> float:
        """Of one step: 3 times the forward pass; attention counted in full, no padding, nothing recomputed."""
        d = self.d_model
        attention = 8 * d * d + 4 * self.seq_len * d
        experts = self.top_k * 4 * d * self.d_plain + 2 * d * self.n_experts
        per_token = self.n_layers * (attention + experts) + 2 * d * self.vocab_size
        return 3.0 * self.tokens * per_token

    def experts(self, n_experts: int) -> "Shape":
        """The same active work, divided among another number of experts."""
        return replace(self, n_experts=n_experts)

    def __str__(self) -> str:
        return (
            f"{self.name}: V={self.vocab_size} d={self.d_model} L={self.n_layers} H={self.n_heads} "
            f"E={self.n_experts} k={self.top_k} T={self.seq_len} B={self.batch_size} "
            f"({self.tokens:,} tokens, {self.flops / 1e9:.3g} GFLOP per step)"
        )


SMALL = Shape("small", 256, 64, 2, 2, 8, 64, 16)
MEDIUM = Shape("medium", 65, 128, 4, 4, 8, 64, 12)
LARGE = Shape("large", 256, 256, 4, 4, 16, 128, 16)
