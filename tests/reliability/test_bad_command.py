"""Command lines that cannot be meant: each is refused with what is wrong and the remedy, and nothing else happens."""

import os
from pathlib import Path
from typing import NamedTuple

from .attempts import Attempt, attempts, contents
from .conftest import Tally

USAGE, STORAGE, ARTEFACT = 2, 4, 5
LONG = "a" * 100_000
PIPE = "it is a pipe or a device, not a file"
NO_RUN = "is not a moe-lab run"
NO_KEY = "unknown config key '{}'"


class Case(NamedTuple):
    """A command, and what its refusal must say."""

    arguments: tuple[str, ...]
    message: str  # in its first line, or after `Error:` where the usage is printed
    help: str = ""
    exit_code: int = USAGE


def case(line: str, message: str, help: str = "", exit_code: int = USAGE) -> Case:
    return Case(tuple(line.split(" ")), message, help, exit_code)


SETTINGS = [
    case("train seed=abc", "'seed': expected an integer in [0, 9223372036854775807], got"),
    case("train steps=-1", "'train.steps': -1 is outside [1, 10000000]"),
    case("train lr=1e--3", "'train.lr': expected a number in (0, 10], got the string"),
    case("train alfa=1", NO_KEY.format("alfa"), "did you mean 'moe.alpha'?"),
    case("train learning_rate=1", NO_KEY.format("learning_rate"), "did you mean 'train.lr'?"),
    case("train lr", "config not found: lr", "a setting is written lr=VALUE"),
    case("train lr=", "'lr=' has no value", "write lr=value"),
    case("train =1", NO_KEY.format(""), "keys here: name, seed"),
    case("train seed=1 seed=2", "'seed' is given twice", "keep one of the two"),
    case("train --name x name=y", "'name' is given twice", "keep one of the two"),
    case("train alpha=0,1", "'moe.alpha' is given several values", "moe-lab sweep alpha=0,1"),
    case("train every=5", "'every' is ambiguous", "eval.every or log.every or checkpoint.every"),
    case("train train=5", "'train' is a section", "train.steps=…"),
    case("train top_k=9", "'moe.top_k' (9) must not exceed 'moe.n_experts' (8)", "use top_k <= 8"),
    case("train --name ../x", "'name': \"../x\" is not allowed", "use 1 to 64 of"),
    case("train --name ", "'name=' has no value"),
    case("config show nope=1", NO_KEY.format("nope")),
    case("config check lr=0", "'train.lr': 0 is outside (0, 10]"),
    Case(("train", "name=a\0b"), "control character U+0000"),
    Case(("train", "name=a\nb"), "'name': \"a b\" is not allowed"),
    Case(("train", "name=a\u202eb"), "control character U+202E"),
    Case(("train", "\0=1"), NO_KEY.format("\\x00")),
    Case(("config", "check", "x=\x1b[31m"), NO_KEY.format("x")),
    Case(("train", LONG + "=1"), "unknown config key 'aaa"),
    Case(("train", f"name={LONG}"), '… (100000 characters)" is not allowed'),
    Case(("train", f"lr={'9' * 100_000}"), "'train.lr': 9999"),
    Case(("train", f"moe_layers={'[' * 50_000}"), "nesting deeper than 20"),
]
FILES = [
    case("train nowhere.yaml", "config not found: nowhere.yaml"),
    case("train okk.yaml", "config not found: okk.yaml", "did you mean 'ok.yaml'?"),
    case("train ok.yaml sweep.yaml", "two config files were given", "give one file"),
    case("train sweep.yaml", NO_KEY.format("axes"), "moe-lab sweep sweep.yaml"),
    case("train folder", "Is a directory", "name a file in it"),
    case("train pipe", PIPE),
    case("train zero", PIPE),
    case("train /dev/zero", PIPE),
    case("config check pipe", PIPE),
    Case(("train", ""), "cannot read the config .: Is a directory"),
    Case(("train", "a\0b.yaml"), "cannot read the config a\\x00b.yaml: embedded null byte"),
    Case(("train", LONG), "cannot read the config aaa"),
    case("train source=text path=pipe", PIPE),
    case("train source=text path=/dev/zero", PIPE),
    case("train source=text path=ok.yaml tokenizer=/dev/zero", PIPE),
    case("train source=text path=folder", "there are no files in"),
    case("train source=text path=nowhere", "no such file"),
    Case(("train", "source=text", "path=a\0b"), "control character U+0000"),
    Case(("train", "source=text", f"path={LONG}"), "'data.path' cannot be read: "),
    case("train ok.yaml --runs-dir ok.yaml/deeper", "cannot write", "--runs-dir", STORAGE),
]
SWEEPS = [
    case("sweep", "there is nothing to sweep", "several values are written A,B"),
    case("sweep alpha=0", "there is nothing to sweep"),
    case("sweep alpha=", "'alpha=' has no value", "write alpha=value"),
    case("sweep alpha=,", "'alpha': a value is missing beside a comma"),
    case("sweep alpha=0,,1", "'alpha': a value is missing beside a comma"),
    case("sweep alfa", "cannot sweep 'alfa'", "did you mean 'alpha'?"),
    case("sweep lr", "'train.lr' has no default grid", "write its values, such as lr=A,B"),
    case("sweep seed=0,1", "a sweep has several seeds", "use --seeds 0,1,2"),
    case("sweep alpha=0,0", "'moe.alpha': 0 repeats 0", "keep one of the two"),
    case("sweep alpha=0,x", "point alpha=x: 'moe.alpha': expected a number in [0, 1000000], got"),
    case("sweep alpha=log:0:1:3", "0 is not above 0", "0 goes beside it"),
    case("sweep alpha=log:1:2", "three numbers are needed, not 2"),
    case("sweep alpha=lin:0:1:99999", "an axis has at most 10,000 values"),
    case("sweep n_experts:top_k=8:1,16", "'16': expected 2 values", "write ':' between them"),
    case("sweep alpha --jobs 0", "--jobs 0: expected auto or a number from 1"),
    case("sweep alpha --jobs x", "--jobs x: expected auto or a number from 1"),
    case("sweep alpha --jobs 99999", "--jobs 99999: at train.threads 1 that takes", "use at most"),
    case("sweep alpha --seeds x", "seeds: expected a number of replicates or a list, got 'x'"),
    case("sweep alpha --seeds 0", "seeds: 0 replicates are outside [1, 10000]"),
    case("sweep alpha --seeds 1,1", "seeds: 1 is given twice"),
    case("sweep alpha --seeds ,", "seeds: '' is not an integer"),
    case("sweep alpha --max-runs 3", "15 runs; the limit is 3", "--max-runs 15"),
    case("sweep alpha -c nowhere.yaml", "config not found: nowhere.yaml"),
    case("sweep alpha -c pipe", PIPE),
    case("sweep zero.yaml", PIPE),
    case("sweep ok.yaml", "unknown key 'seed' of a sweep file", "did you mean 'seeds'?"),
    case("sweep lr=0.1,0.2 --rule", "the tuning rule moves alpha alone"),
    case("sweep alpha --name a/b", "'name': \"a/b\" is not allowed"),
    Case(("sweep", ""), "cannot sweep ''"),
    Case(("sweep", "a\0"), "cannot sweep 'a\\x00'"),
    Case(("sweep", LONG), "cannot sweep 'aaa"),
    Case(("sweep", "alpha=0," + "1," * 20_000), "a value is missing beside a comma"),
    Case(("sweep", "alpha", "--seeds", ""), "seeds: expected a number of replicates"),
    Case(("sweep", "alpha", "--jobs", "\u00b2"), "--jobs ²: expected auto or a number"),
]
READING = [
    case("report ok.yaml", NO_RUN, exit_code=ARTEFACT),
    case("report nowhere", NO_RUN, exit_code=ARTEFACT),
    case("report pipe", NO_RUN, exit_code=ARTEFACT),
    case("report /dev/zero", NO_RUN, exit_code=ARTEFACT),
    case("check nowhere --fail-on collapse", NO_RUN, exit_code=ARTEFACT),
    case("check pipe --fail-on collapse", NO_RUN, exit_code=ARTEFACT),
    case("check nowhere --fail-on cv>", "expected a number or baseline; the rule ends here"),
    case("check nowhere --fail-on colapse", "expected one of > >= < <=", "'collapse'?"),
    case("train --fail-on nope>1", "there is no column 'nope'"),
    case("train --fail-on cv>baseline", "none was given", "moe-lab check RUN --baseline DIR"),
    case("resume nowhere", NO_RUN, exit_code=ARTEFACT),
    case("resume ok.yaml", NO_RUN, exit_code=ARTEFACT),
    case("resume pipe", NO_RUN, exit_code=ARTEFACT),
    case("resume folder --retry-failed", "folder is no sweep", "leave out --retry-failed"),
    case("ls nowhere", "cannot list nowhere: No such file or directory", "moe-lab ls DIR"),
    case("ls ok.yaml", "cannot list ok.yaml: Not a directory"),
    case("ls pipe", "cannot list pipe: Not a directory"),
    Case(("report", ""), NO_RUN, exit_code=ARTEFACT),
    Case(("report", "\u202ex"), "\\u202ex is not a moe-lab run", exit_code=ARTEFACT),
    Case(("report", LONG), "aaaa… (", exit_code=ARTEFACT),
    Case(("resume", LONG), "aaaa… (", exit_code=ARTEFACT),
    Case(("check", "folder", "--fail-on", "\0"), "expected the name of a column"),
    Case(("check", "folder", "--fail-on", LONG), "expected one of > >= < <="),
    case("init ok.yaml", "ok.yaml already exists", "name another folder"),
    case("init pipe", "pipe already exists", "name another folder"),
]
PARSED = [  # by Typer, with the usage
    case("trian", "No such command 'trian'. Did you mean 'train'?"),
    case("train --bogus", "No such option: --bogus"),
    case("train --runs-dir", "Option '--runs-dir' requires an argument"),
    case("train --progress loud", "'loud' is not one of 'auto', 'live', 'plain', 'json', 'none'"),
    case("report", "Missing argument 'DIR...'"),
    case("report folder --format xml", "'xml' is not one of 'table', 'md', 'csv', 'json'"),
    case("report folder --margin 0", "Input should be greater than or equal to"),
    case("report folder --margin nan", "Input should be less than or equal to"),
    case("check folder", "Missing option '--fail-on'"),
    case("resume", "Missing argument 'DIR'"),
    case("ls --bogus", "No such option: --bogus"),
    case("doctor --bogus", "No such option: --bogus"),
    case("config shw", "No such command 'shw'. Did you mean 'show'?"),
    case("config schema x", "Got unexpected extra argument"),
    case("sweep alpha --retries -1", "Input should be greater than or equal to 0"),
    case("sweep alpha --max-runs 0", "Input should be greater than or equal to 1"),
    case("sweep alpha --jobs-per-gpu x", "Invalid value for '--jobs-per-gpu'"),
    Case(("\0",), "No such command"),
    Case(("report", "a\0b"), "embedded null byte"),
    Case(("train", "--runs-dir", "a\0b", "steps=1"), "embedded null byte"),
]


def prepare(folder: Path) -> None:
    (folder / "ok.yaml").write_text("seed: 0\n")
    (folder / "sweep.yaml").write_text("axes: {alpha: [0, 1]}\n")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    for name in ("zero", "zero.yaml"):
        (folder / name).symlink_to("/dev/zero")


def unlike(case: Case, found: Attempt) -> str | None:
    """How a refusal falls short of what it must say."""
    first = found.stderr.split("\n")[0]
    if case in PARSED:
        first = found.stderr.rpartition("Error: ")[2]
    said = case.message in first and case.help in found.stderr.rpartition("help: ")[2]
    printable = all(letter.isprintable() or letter == "\n" for letter in found.stderr)
    quiet = found.stdout == "" and len(found.stderr) < 10_000 and not found.imported
    right = found.exit_code == case.exit_code and "Traceback" not in found.stderr
    if said and printable and quiet and right:
        return None
    return f"{case.arguments}: {found.exit_code} {found.imported} {found.stderr}"[:500]


def test_every_command_that_cannot_be_meant_is_refused(tmp_path: Path, tally: Tally):
    prepare(tmp_path)
    cases = [*SETTINGS, *FILES, *SWEEPS, *READING, *PARSED]
    before = contents(tmp_path), sorted(tmp_path.rglob("*"))
    found = attempts(tmp_path, [case.arguments for case in cases])
    bad = [short for c, each in zip(cases, found, strict=True) if (short := unlike(c, each))]
    assert (contents(tmp_path), sorted(tmp_path.rglob("*"))) == before
    tally("invalid command lines", len(cases), len(bad))
    assert not bad, "\n".join(bad[:5])
