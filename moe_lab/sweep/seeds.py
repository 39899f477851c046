"""Replicates: `3` for the base's seed and the two after it, `0,7,42` for these."""

from moe_lab.config.source import Node, scalar
from moe_lab.errors import COMMAND_LINE, ConfigError, Place, Problem

LARGEST = 2**63 - 1
MOST = 10_000
REMEDY = "give a number of replicates, such as 3, or the seeds, such as 0,1,2"


def parse_seeds(text: str, base_seed: int) -> tuple[int, ...]:
    """The seeds that `--seeds` names. Raises ConfigError."""
    problems: list[Problem] = []
    seeds = replicates(written(text), base_seed, problems)
    if problems:
        raise ConfigError.of(problems)
    return seeds


def written(text: str) -> Node:
    """The value of `--seeds`: with a comma, be it the last, it is a list."""
    place = Place(COMMAND_LINE, text=f"--seeds {text}")
    words = [word.strip() for word in text.removesuffix(",").split(",")]
    nodes = tuple(Node(scalar(word), place, place, word) for word in words)
    return Node(nodes, place, place) if "," in text else nodes[0]


def replicates(node: Node, base_seed: int, problems: list[Problem]) -> tuple[int, ...]:
    """The seeds of a count or a list; what is wrong with it is added to `problems`."""
    if isinstance(node.value, tuple):
        return _listed(node, problems)
    count = node.value
    last = base_seed + count - 1 if type(count) is int else 0
    if type(count) is not int:
        message = f"seeds: expected a number of replicates or a list, got '{node.text}'"
    elif not 1 <= count <= MOST:
        message = f"seeds: {node.text} replicates are outside [1, {MOST}]"
    elif last > LARGEST:
        message = f"seeds: {count} of them from {base_seed} go beyond {LARGEST}"
    else:
        return tuple(range(base_seed, base_seed + count))
    problems.append(Problem(message, node.place, REMEDY))
    return ()


def _listed(node: Node, problems: list[Problem]) -> tuple[int, ...]:
    seeds: list[int] = []
    if not node.value:
        problems.append(Problem("seeds: the list is empty", node.place, REMEDY))
    for item in node.value:
        if type(item.value) is not int:
            problems.append(Problem(f"seeds: '{item.text}' is not an integer", item.place, REMEDY))
        elif not 0 <= item.value <= LARGEST:
            problems.append(
                Problem(f"seeds: {item.text} is outside [0, {LARGEST}]", item.place, REMEDY)
            )
        elif item.value in seeds:
            message = f"seeds: {item.text} is given twice"
            problems.append(Problem(message, item.place, "each replicate needs a seed of its own"))
        else:
            seeds.append(item.value)
    return tuple(seeds)
