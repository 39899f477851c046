"""A sweep as a file: `axes` and `paired`, less `exclude`, on `base` with `set`, at `seeds`; and its `name`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from moe_lab.config import keys, overrides
from moe_lab.config.files import document
from moe_lab.config.forms import absolute
from moe_lab.config.source import Node
from moe_lab.errors import Place, Problem
from moe_lab.sweep.asked import Asked, Axis, Exclusion, axis, distinct, shown
from moe_lab.sweep.axes import default_grid, key
from moe_lab.sweep.spacing import is_spacing, spaced

KEYS = ("name", "base", "set", "axes", "paired", "exclude", "seeds")
SCHEMA = f"keys of a sweep file: {', '.join(KEYS)}"


def read(path: Path, problems: list[Problem]) -> Asked:
    """What a sweep file asks for; what is wrong with it is added to `problems`."""
    before = len(problems)
    _, tree = document(path, problems)
    if tree and isinstance(tree.value, dict):
        if section := next((word for word in tree.children if keys.is_section(word)), None):
            message = f"{path} is a config, not a sweep file"
            problems.append(
                Problem(message, tree.children[section].key, f"sweep it with -c {path}")
            )
            return Asked()
        return _Reader(path.parent, problems).asked(tree)
    if len(problems) == before:
        place = tree.place if tree else Place(str(path))
        problems.append(Problem("this is no sweep file: it has no keys", place, SCHEMA))
    return Asked()


def combined(file: Asked, line: Asked, problems: list[Problem]) -> Asked:
    """A file and the command line, which wins; of paired keys it must give all."""
    given = {path: axis.place for axis in line.axes for path in axis.keys}
    kept = []
    for old in file.axes:
        over = [path for path in old.keys if path in given]
        if over and len(over) < len(old.keys):
            message = f"'{over[0]}' is paired with others in the sweep file"
            problems.append(Problem(message, given[over[0]], f"give {':'.join(old.keys)}=…"))
        elif not over:
            kept.append(old)
    return replace(file, axes=(*kept, *line.axes), seeds=line.seeds or file.seeds)


@dataclass(frozen=True)
class _Reader:
    """Reads the parts of a file in a folder."""

    folder: Path
    problems: list[Problem]

    def asked(self, tree: Node) -> Asked:
        for word, node in tree.children.items():
            if word not in KEYS:
                self._wrong(f"unknown key '{word}' of a sweep file", node.key, _meant(word))
        found = tree.children
        axes = [
            *self._fixed({"name": found["name"]} if "name" in found else {}),
            *self._fixed(self._mapping(found, "set")),
            *(self._axis({w: n}) for w, n in self._mapping(found, "axes").items()),
            *(self._axis(pair) for pair in self._mappings(found, "paired")),
        ]
        exclude = [self._exclusion(each) for each in self._mappings(found, "exclude")]
        return Asked(
            axes=distinct(filter(None, axes), self.problems),
            exclude=tuple(each for each in exclude if each),
            seeds=found.get("seeds"),
            base=self._base(found.get("base")),
        )

    def _base(self, node: Node | None) -> Node | None:
        if node and not (isinstance(node.value, str) and node.value):
            self._wrong(f"'base': expected the path of a config, got {shown(node)}", node.place)
            return None
        return node and absolute(node, self.folder)

    def _fixed(self, settings: dict[str, Node]) -> Iterator[Axis | None]:
        for word, node in settings.items():
            path = key(word, node.key, self.problems, swept=False)
            value = path and overrides.normal(path, node, self.folder)
            yield Axis((path,), ((value,),), node.key) if path and value else None

    def _axis(self, columns: dict[str, Node]) -> Axis | None:
        """One key with its values, or several whose values belong together."""
        before = len(self.problems)
        paths = [key(word, n.key, self.problems, swept=True) or "" for word, n in columns.items()]
        if len(self.problems) > before or not columns:
            return None
        values = [
            self._column(path, word, node)
            for path, (word, node) in zip(paths, columns.items(), strict=True)
        ]
        if len(self.problems) > before or self._unequal(columns, values):
            return None
        rows = list(zip(*values, strict=True))
        return axis(paths, rows, next(iter(columns.values())).key, self.problems)

    def _column(self, path: str, word: str, node: Node) -> list[Node]:
        """The values of one key: a list, a rule, or nothing for the default grid."""
        if node.value is None:
            return default_grid(path, word, node.key, self.problems)
        if isinstance(node.value, str) and is_spacing(node.value):
            return spaced(node.value, node.place, self.problems)
        if not isinstance(node.value, tuple):
            remedy = f"write [{node.text}]" if node.text else "write a list"
            self._wrong(
                f"'{path}': expected a list of values, got {shown(node)}", node.place, remedy
            )
            return []
        if not node.value:
            self._wrong(f"'{path}': the list is empty", node.place, "name the values to try")
        return [value for item in node.value for value in self._values(path, item)]

    def _values(self, path: str, item: Node) -> list[Node]:
        if isinstance(item.value, str) and is_spacing(item.value):
            return spaced(item.value, item.place, self.problems)
        return [overrides.normal(path, item, self.folder)]

    def _unequal(self, columns: dict[str, Node], values: Sequence[Sequence[Node]]) -> bool:
        counts = dict(zip(columns, map(len, values), strict=True))
        first = next(iter(columns))
        wrong = [word for word, count in counts.items() if count != counts[first]]
        for word in wrong:
            message = f"'{first}' and '{word}' are paired, but have {counts[first]} and {counts[word]} values"
            self._wrong(message, columns[word].place, "give each as many")
        return bool(wrong)

    def _exclusion(self, settings: dict[str, Node]) -> Exclusion | None:
        values, places = {}, []
        for word, node in settings.items():
            if path := key(word, node.key, self.problems, swept=True):
                items = node.value if isinstance(node.value, tuple) else (node,)
                values[path] = tuple(overrides.normal(path, n, self.folder) for n in items)
                places.append(node.key)
        return Exclusion(values, places[0]) if places else None

    def _mapping(self, found: dict[str, Node], word: str) -> dict[str, Node]:
        node = found.get(word)
        if node is None or isinstance(node.value, dict):
            return node.children if node else {}
        self._wrong(f"'{word}': expected keys with values, got {shown(node)}", node.place)
        return {}

    def _mappings(self, found: dict[str, Node], word: str) -> list[dict[str, Node]]:
        node = found.get(word)
        items = node.value if node and isinstance(node.value, tuple) else ()
        if node and not (items and all(isinstance(item.value, dict) for item in items)):
            remedy = f"such as {word}: [{{n_experts: 8, top_k: 2}}]"
            self._wrong(f"'{word}': expected a list of mappings", node.place, remedy)
            return []
        return [item.children for item in items]

    def _wrong(self, message: str, place: Place, help: str | None = None) -> None:
        self.problems.append(Problem(message, place, help))


def _meant(word: str) -> str:
    if near := keys.similar(word, KEYS):
        return f"did you mean '{near}'?"
    if keys.named(word) or keys.is_section(word):
        return f"'{word}' belongs under 'axes:' or 'set:'"
    return SCHEMA
