"""What router modules return, in the layouts of public models, read as one record.

The chosen experts are taken from the module's own indices wherever it returns them: with biased, grouped or
limited routers they are not the top k of the logits. Letters in shapes as in routing/base.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from moe_lab.errors import ConfigError


@dataclass(frozen=True)
class Choice:
    """What one router chose for T tokens."""

    logits: Float[Tensor, "T E"]
    chosen: Int[Tensor, "T k"]
    weights: Float[Tensor, "T k"] | None = None  # of the chosen experts' outputs; None: not told
    kept: Bool[Tensor, "T k"] | None = None  # None: nothing is dropped

    def of(self, tokens: Bool[Tensor, " T"]) -> "Choice":
        """The same for some of the tokens."""
        values = (self.logits, self.chosen, self.weights, self.kept)
        return Choice(*(None if value is None else value[tokens] for value in values))  # type: ignore[arg-type]


Reader = Callable[[Sequence[Any], int | None], Choice]  # a part may be no tensor


def read(output: object, top_k: int | None) -> Choice:
    """A router's output; top_k is asked where no indices are returned. Raises ConfigError for an unknown layout."""
    parts = output if isinstance(output, tuple | list) else (output,)
    kinds = "".join(map(_kind, parts))
    if kinds not in LAYOUTS:
        raise ConfigError(
            f"a router returned {_described(parts)}, which is in no known layout",
            help="give read=, a function from this output to (logits, weights, indices)",
        )
    return LAYOUTS[kinds](parts, top_k)


def _triple(parts: Sequence[Tensor], top_k: int | None) -> Choice:
    """Logits, weights and indices: nearly every model of transformers 5."""
    logits, weights, chosen = map(_flat, parts[:3])
    return Choice(logits, chosen.long(), weights)


def _logits_alone(parts: Sequence[Any], top_k: int | None) -> Choice:
    """The last part is logits, of which the model takes the largest: DBRX, JetMoE."""
    logits = _flat(parts[-1])
    return Choice(logits, _largest(logits, top_k))


def _scores_and_logits(parts: Sequence[Tensor], top_k: int | None) -> Choice:
    """Scores of all experts, 0 where not chosen, and logits: Llama 4."""
    scores, logits = map(_flat, parts)
    chosen = _largest(logits, top_k)
    return Choice(logits, chosen, scores.gather(1, chosen))


def _after_capacity(parts: Sequence[Tensor], top_k: int | None) -> Choice:
    """What is left of the choices after capacity, and logits: Switch and NLLB. The rest was chosen by logits.

    Switch: one-hot, the chosen expert's probability (T, 1), logits. NLLB: one-hot of the first of two choices,
    weights (T, E) of both, logits.
    """
    first, weights, logits = map(_flat, parts)
    both = weights.shape == logits.shape
    taken = weights > 0 if both else first > 0
    chosen = _largest(logits.masked_fill(taken, torch.inf), 2 if both else 1)
    return Choice(logits, chosen, kept=taken.gather(1, chosen))


# By the kinds of the parts: f floating point, i integer, o no tensor.
LAYOUTS: dict[str, Reader] = {
    "ffi": _triple,
    "ffif": _triple,  # and weights of shared experts
    "f": _logits_alone,
    "iifof": _logits_alone,
    "ff": _scores_and_logits,
    "iff": _after_capacity,
}


def _kind(part: Any) -> str:
    if not isinstance(part, Tensor):
        return "o"
    return "f" if part.is_floating_point() else "i"


def _flat(part: Tensor) -> Tensor:
    return part.detach().flatten(0, -2)


def _largest(logits: Float[Tensor, "T E"], top_k: int | None) -> Int[Tensor, "T k"]:
    if top_k is None:
        raise ConfigError(
            "a router returns no indices, and says nowhere how many experts a token gets",
            help="give top_k=",
        )
    return logits.topk(top_k, dim=-1).indices


def _described(parts: Sequence[object]) -> str:
    words = [
        f"{str(part.dtype).removeprefix('torch.')}{tuple(part.shape)}"
        if isinstance(part, Tensor)
        else type(part).__name__
        for part in parts
    ]
    return ", ".join(words) or "nothing"
