"""The parts of a run while it trains: built from a config, saved to named arrays and restored from them."""

from dataclasses import asdict, dataclass
from math import cos, pi
from typing import Any

import numpy as np
import torch
from torch import Tensor

from moe_lab.config import Config
from moe_lab.data.base import Source
from moe_lab.evaluate import Probe
from moe_lab.metrics import DeadWindow, LoadWatch
from moe_lab.model import LanguageModel, initialize, loss_weights
from moe_lab.ranks import ALONE, Ranks
from moe_lab.registry import SOURCES
from moe_lab.store.commit import State
from moe_lab.streams import Stream

BETAS = (0.9, 0.999)
MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Experiment:
    """Everything that one training run works with."""

    config: Config
    device: torch.device
    source: Source
    model: LanguageModel
    optimizer: torch.optim.AdamW
    probe: Probe
    weights: dict[str, float]  # of the balance losses
    windows: dict[int, DeadWindow]  # per MoE layer
    watches: dict[int, LoadWatch]
    ranks: Ranks = ALONE

    @property
    def rows(self) -> slice:
        """The sequences of every micro-batch that are this rank's."""
        return self.ranks.share(self.config.train.batch_size)

    @property
    def share(self) -> float:
        """How much of every micro-batch these are."""
        return len(range(self.config.train.batch_size)[self.rows]) / self.config.train.batch_size

    @property
    def stream(self) -> Stream:
        """The root of all draws of this run."""
        return Stream(self.config.seed)

    @property
    def tokens_per_step(self) -> int:
        """Tokens of all micro-batches of one optimizer step, on all ranks."""
        return tokens_per_step(self.config)

    def state(self, step: int, evaluated: bool = True) -> State:
        """What a checkpoint holds after `step` steps; evaluated: whether no evaluation is owed."""
        parameters = dict(self.model.named_parameters())
        moments = {
            f"{moment}.{name}": _array(self.optimizer.state[parameter][moment])
            for name, parameter in parameters.items()
            if parameter in self.optimizer.state
            for moment in MOMENTS
        }
        arrays = {name: _array(value) for name, value in self.model.state_dict().items()}
        return State(step, arrays, moments, {**self._readings(), "evaluated": evaluated})

    def restore(self, state: State) -> None:
        """Back to a checkpoint of the same config."""
        tensors = {name: torch.tensor(array) for name, array in state.model.items()}
        self.model.load_state_dict(tensors)
        if state.step:
            for name, parameter in self.model.named_parameters():
                if f"{MOMENTS[0]}.{name}" in state.optimizer:  # not of what has no gradient
                    self.optimizer.state[parameter] = self._moments(name, state)
        for layer, window in self.windows.items():
            window.counts.extend(state.extra["windows"][str(layer)])
        for layer in self.watches:
            self.watches[layer] = _watch(state.extra["watches"][str(layer)])

    def _moments(self, name: str, state: State) -> dict[str, Tensor]:
        arrays = {moment: state.optimizer[f"{moment}.{name}"] for moment in MOMENTS}
        arrays["step"] = np.array(state.step, dtype=np.float32)
        return {key: torch.tensor(array, device=self.device) for key, array in arrays.items()}

    def _readings(self) -> dict[str, Any]:
        watches = {str(layer): asdict(watch) for layer, watch in self.watches.items()}
        for watch in watches.values():
            watch["average"] = None if watch["average"] is None else watch["average"].tolist()
        windows = {str(layer): list(window.counts) for layer, window in self.windows.items()}
        return {"windows": windows, "watches": watches}


def build(config: Config, device: torch.device, ranks: Ranks = ALONE) -> Experiment:
    """Data, model and optimizer as the config says, before any step."""
    train = config.train
    options = config.data.model_dump(exclude={"source"})
    source: Source = SOURCES.load(config.data.source)(config.seed, **options)
    model = LanguageModel(config, source.vocab_size)
    initialize(model, config)
    for moe_layer in model.moe_layers().values():
        moe_layer.router.requires_grad_(train.router_lr_factor > 0)
    model.to(device)
    probe = Probe(
        source,
        tokens=config.eval.tokens,
        batch_size=train.batch_size,
        ablation=config.eval.ablation,
        seed=config.seed,
        device=device,
    )
    moe, layers = config.moe, model.moe_layers()
    assignments = tokens_per_step(config) * moe.top_k
    return Experiment(
        config=config,
        device=device,
        source=source,
        model=model,
        optimizer=_optimizer(model, config),
        probe=probe,
        weights=loss_weights(moe),
        windows={layer: DeadWindow(moe.n_experts, assignments) for layer in layers},
        watches={layer: LoadWatch(moe.top_k) for layer in layers},
        ranks=ranks,
    )


def tokens_per_step(config: Config) -> int:
    """Tokens of all micro-batches of one optimizer step."""
    return config.train.batch_size * config.train.accumulate * config.data.seq_len


def learning_rate(config: Config, step: int) -> float:
    """Linear warm-up to lr, then a half cosine to 0 after the last step, or constant."""
    train = config.train
    if step <= train.warmup:
        return train.lr * step / train.warmup
    if train.lr_schedule == "constant":
        return train.lr
    done = (step - 1 - train.warmup) / max(1, train.steps - train.warmup)
    return train.lr * 0.5 * (1 + cos(pi * done))


def _optimizer(model: LanguageModel, config: Config) -> torch.optim.AdamW:
    """AdamW that decays matrices and neither gains nor biases; fused: one kernel for all parameters.

    Each group's `lr_factor` multiplies the learning rate of every step.
    """
    train = config.train
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        decay = train.weight_decay if parameter.ndim > 1 else 0.0
        factor = train.router_lr_factor if ".router." in name else 1.0
        groups.setdefault((decay, factor), []).append(parameter)
    settings = [
        {"params": parameters, "weight_decay": decay, "lr_factor": factor}
        for (decay, factor), parameters in groups.items()
    ]
    return torch.optim.AdamW(settings, lr=train.lr, betas=BETAS, fused=True)


def _watch(saved: dict[str, Any]) -> LoadWatch:
    average = saved["average"]
    return LoadWatch(**{**saved, "average": None if average is None else np.array(average)})


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()
