import pytest

from moe_lab.config import load

UNKNOWN = """\
error: unknown config key 'moe.topk'
  --> bad.yaml:2:3
   |
 2 |   topk: 2
   |   ^^^^
  help: did you mean 'top_k'?
error: unknown config key 'lr'
  --> bad.yaml:4:1
   |
 4 | lr: 3e-4
   | ^^
  help: 'lr' belongs under 'train:' (write it as 'train.lr')"""


def test_unknown_keys_are_shown_with_the_line_and_the_remedy(refusal):
    assert refusal("moe:\n  topk: 2\n  n_experts: 4\nlr: 3e-4\n") == UNKNOWN


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        ("moe:\n  num_experts: 4", "unknown config key 'moe.num_experts'", "'n_experts'?"),
        ("moe:\n  k: 4", "unknown config key 'moe.k'", "did you mean 'top_k'?"),
        ("learning_rate: 1", "unknown config key 'learning_rate'", "did you mean 'train.lr'?"),
        ("modle: {}", "unknown config key 'modle'", "did you mean 'model'?"),
        ("model: {seed: 3}", "unknown config key 'model.seed'", "'seed' belongs at the top level"),
        ("train: {moe: 3}", "unknown config key 'train.moe'", "'moe' belongs at the top level"),
        ("log: {keep: 3}", "unknown config key 'log.keep'", "belongs under 'checkpoint:'"),
        ("train: {every: 3}", "unknown config key 'train.every'", "'eval.every' or 'log.every'"),
        ("log: {xyzzy: 3}", "unknown config key 'log.xyzzy'", "keys here: every, router_grad"),
        ("interventions: []", "unknown config key 'interventions'", "keys here: "),
        ("data: {path: x}", "unknown config key 'data.path'", "'path' belongs to source: text"),
        (
            "data: {source: text, path: x, n_domains: 3}",
            "unknown config key 'data.n_domains'",
            "'n_domains' belongs to source: domains",
        ),
        ("moe: {balance: {name: switch, weight: 1}}", "'moe.balance.weight'", "'moe.alpha'?"),
        ("moe: {router: topk}", "'moe.router': there is no method \"topk\"", "'top_k'?"),
        ("moe: {balance: xyz}", "there is no method \"xyz\"", "one of importance, loss_free, router_z, switch"),
        ("moe: {router: {score: softmax}}", "'moe.router': its 'name' is missing", "reference, top_k"),
        ("moe: {router: [a]}", "'moe.router': expected a mapping, got a list", ""),
        ("moe: {extra: [{name: router_z}]}", "'moe.extra[0].weight' is required", "weight: …"),
        ("moe: {extra: [5]}", "'moe.extra[0]': expected a mapping, got the integer 5", ""),
        ("moe: {extra: 5}", "'moe.extra': expected a list, got the integer 5", ""),
        (
            "data: {source: text, path: {a: {b: c}}}",
            "'data.path': expected a file, a folder, or {label: file, …}, got a mapping",
            "",
        ),
        (
            'data: {source: text, path: ""}',
            "expected a file, a folder, or {label: file, …}, got the string",
            "",
        ),
        (
            "data: {domain_weights: [1, 0]}",
            "'data.domain_weights': expected a list of numbers in (0, 1000000] or null, got a list",
            "",
        ),
        (
            "data: {source: text, path: x, weights: {a: -1}}",
            "'data.weights': expected numbers in (0, 1000000] as {label: number, …} or null, got a mapping",
            "",
        ),
        ("train: {lr: }", "'train.lr': expected a number in (0, 10], got nothing", "remove the key"),
        ("train: {grad_clip: x}", "expected a number in (0, 1000000000] or null, got", ""),
        ("train: {device: gpu}", "expected auto, cpu or cuda, got the string \"gpu\"", "'cuda'?"),
        (
            "moe: {router: {name: top_k, renormalize: yes}}",
            "'moe.router.renormalize': expected true or false, got the string \"yes\"",
            "write true",
        ),
        ("model: {moe_layers: [0, 0]}", "expected all, or a list of distinct block indices", ""),
        ("model: {moe_layers: [true]}", "expected all, or a list of distinct block indices", ""),
        ("model: {moe_layers: []}", "expected all, or a list of distinct block indices", ""),
        ("name: [a]", "'name': expected text, got a list", ""),
    ],
)  # fmt: skip
def test_one_mistake_gives_one_located_message(refusal, text, message, remedy):
    rendered = refusal(text)
    first, last = rendered.splitlines()[0], rendered.splitlines()[-1]
    assert rendered.count("error:") == 1
    assert message in first
    assert "--> bad.yaml:" in rendered
    assert last.startswith("  help: ") == bool(remedy)
    assert remedy in last


def test_all_problems_come_at_once_in_the_order_of_lines(refusal):
    text = refusal("train: {lr: 0, nope: 1}\nseed: x\nmoe:\n  alpha: -1\n  alpha: 2\n", ["steps=0"])
    places = [line.strip() for line in text.splitlines() if "-->" in line]
    assert places == [
        "--> bad.yaml:1:13",
        "--> bad.yaml:1:16",
        "--> bad.yaml:2:7",
        "--> bad.yaml:4:10",
        "--> bad.yaml:5:3",
        "--> command line: steps=0",
    ]


def test_the_problems_beyond_twenty_are_counted(refusal):
    text = refusal("".join(f"key{i}: 1\n" for i in range(37)))
    assert text.count("error:") == 20
    assert text.endswith("... and 17 more")


def test_a_value_of_thousands_of_digits_is_not_printed(refusal):
    text = refusal("train:\n  steps: " + "9" * 4000)
    assert "(4000 characters)" in text
    assert len(text) < 600


@pytest.mark.parametrize("name", ["no", "12", "1.0", "2026-01-01", "true", "010"])
def test_names_are_text_whatever_they_look_like(tmp_path, name):
    (tmp_path / "a.yaml").write_text(f"name: {name}")
    assert load(tmp_path / "a.yaml").config.name == name
