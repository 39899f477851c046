"""One-line faults that the tests must notice: `make mutants`. Prints a line per fault, exits 1 if one survives.

Each fault is put into a copy of the package, and the named tests are run against the copy.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
NAMED = ("constraints.txt", "SECURITY.md")  # that tests read, too


@dataclass(frozen=True)
class Mutant:
    """A fault: in a file, one text for another; and the tests that should fail."""

    file: str
    right: str
    wrong: str
    tests: str


MUTANTS = (
    Mutant("routing/base.py", "/ len(self.expert)\n", "/ len(self.router_probs)\n", "balancing"),
    Mutant("capacity.py", "return ceil(", "return int(", "test_capacity.py"),
    Mutant("dropping.py", "rank < slots", "rank <= slots", "test_dropping.py"),
    Mutant("dropping.py", "routing.gate.detach(), descending=True", "routing.gate.detach(), descending=False", "test_dropping.py"),
    Mutant("dropping.py", ".T.flatten()", ".flatten()", "test_dropping.py"),
    Mutant("choosing.py", "if tied.any():", "if False:", "test_choosing.py"),
    Mutant("choosing.py", "tied = lead == 0", "tied = lead >= 0", "test_choosing.py"),
    Mutant("choosing.py", "BEST_OF_A_GROUP = 2", "BEST_OF_A_GROUP = 1", "test_choosing.py"),
    Mutant("choosing.py", "tied | groups_tied", "tied", "test_choosing.py"),
    Mutant("routing/base.py", ".clamp_min(torch.finfo(gates.dtype).tiny)", "", "routing"),
    Mutant("routing/top_k.py", "self.training and self.noise", "self.noise", "routing"),
    Mutant("routing/top_k.py", "scores.gather(1, chosen)", "selection.softmax(-1).gather(1, chosen)", "routing"),
    Mutant("routing/top_k.py", "if self.renormalize:", "if not self.renormalize:", "routing"),
    Mutant("routing/top_k.py", "else scores + selection_bias", "else selection + selection_bias", "routing"),
    Mutant("routing/top_k.py", "(routing.gate * routing.kept)", "routing.gate", "routing"),
    Mutant("routing/top_k.py", "return scores, normalized(scores)", "return scores, scores", "routing"),
    Mutant("routing/top_k.py", "1 + self.jitter * spread", "1 + self.jitter * spread.abs()", "routing"),
    Mutant("routing/top_k.py", "-(-uniform.log()).log()", "(-uniform.log()).log()", "routing"),
    Mutant("routing/noisy_top_k.py", "noisy.gather(1, chosen)", "logits.gather(1, chosen)", "routing"),
    Mutant("routing/noisy_top_k.py", "if self.training else logits", "", "routing"),
    Mutant("routing/reference.py", "labels[:, None] * top_k +", "labels[:, None] +", "routing"),
    Mutant("routing/reference.py", "_hash_table(stream.seed,", "_hash_table(0,", "routing"),
    Mutant("config/router_rules.py", "and not data.labelled", "and data.labelled", "config/test_router_rules.py"),
    Mutant("balancing/importance.py", "correction=0", "correction=1", "balancing"),
    Mutant("balancing/switch.py", "(load * routing.importance())", "routing.importance().square()", "balancing"),
    Mutant("balancing/switch.py", "load / expert.shape[1] * importance", "load / load.sum() * importance", "balancing"),
    Mutant("balancing/importance.py", "(mean - mean.square().sum() / total)", "mean", "balancing"),
    Mutant("balancing/loss_free.py", "missing = 1 - n / n.mean()", "missing = n / n.mean() - 1", "balancing"),
    Mutant("balancing/router_z.py", ".square().mean()", ".mean().square()", "balancing"),
    Mutant("experts.py", "kept = routing.kept[order]", "kept = routing.kept[order] | True", "test_experts.py test_moe.py"),
    Mutant("experts.py", "routing.gate.index_select(0, rows)", "routing.gate[: len(rows)]", "test_experts.py test_moe.py"),
    Mutant("moe.py", "self.limits.training if self.training", "self.limits.training if True", "test_moe.py test_evaluate.py"),
    Mutant("model.py", "gain / -len(gain)", "gain / len(gain)", "test_model.py"),
    Mutant("choosing.py", "value[:, 0] - rest.amax(-1)", "value[:, 0] * 0", "test_choosing.py"),
    Mutant("model.py", "is_causal=True", "is_causal=False", "test_model.py"),
    Mutant("metrics/floor.py", "(n_experts - top_k) / (top_k * tokens)", "(n_experts - 1) / (top_k * tokens)", "metrics"),
    Mutant("metrics/loads.py", "return exp(load_entropy(q))", "return 1 / float((q * q).sum())", "metrics"),
    Mutant("metrics/verdict.py", "step - self._crossed + 1 < SUSTAINED", "step - self._crossed < SUSTAINED", "metrics"),
    Mutant("metrics/information.py", "(found - float(np.mean(null)))", "found", "metrics"),
    Mutant("metrics/loads.py", "spare = len(q) - top_k", "spare = len(q) - 1", "metrics"),
    Mutant("metrics/loads.py", "np.sort(_excess(q))", "_excess(q)", "metrics"),
    Mutant("metrics/loads.py", "return sqrt(n_experts / top_k - 1)", "return sqrt(n_experts - 1)", "metrics"),
    Mutant("metrics/floor.py", "sqrt((1 - fair) / pi)", "sqrt(1 / pi)", "metrics"),
    Mutant("metrics/floor.py", "c / sqrt(2 * pi)", "c * sqrt(2 / pi)", "metrics"),
    Mutant("metrics/verdict.py", "return deaths(np.sum(self.counts, axis=0))", "return deaths(counts)", "metrics"),
    Mutant("metrics/information.py", "swaps = [order[tokens[order].argsort(kind=\"stable\")] for order in orders]", "swaps = orders", "metrics"),
    Mutant("metrics/information.py", "/ min(used)", "/ max(used)", "metrics"),
    Mutant("metrics/pairs.py", "(n - size) * (n - size - 1)", "(n - size) * (n - size)", "metrics"),
    Mutant("metrics/pairs.py", "step / max(1.0, np.abs(step).max())", "step", "metrics"),
    Mutant("metrics/stability.py", "before[:, 0] != after[:, 0]", "before != after", "metrics"),
    Mutant("metrics/similarity.py", "outputs - outputs.mean(1, keepdims=True)", "outputs - outputs.mean(0)", "metrics"),
    Mutant("metrics/similarity.py", "/ len(live)  # of", "/ len(hidden)  # of", "metrics"),
    Mutant("metrics/imbalance.py", "int(sizes[0]) // top_k", "int(sizes[0])", "metrics"),
    Mutant("streams.py", 'purpose, *self.index]', 'purpose]', "test_streams.py"),
    Mutant("data/chains/mixture.py", "belief = belief * self.tables", "belief = belief + self.tables", "data"),
    Mutant("data/domains.py", '"eval", max(', '"ladder", max(', "data"),
    Mutant("data/chains/mixture.py", "entropy(pairs.sum(1))", "entropy(pairs.sum(0)) / 2", "data"),
    Mutant("data/chains/mixture.py", "belief + self.switching * self.prior", "belief", "data"),
    Mutant("data/chains/mixture.py", "(concentration + place)", "(concentration + cluster_size)", "data"),
    Mutant("data/chains/tables.py", "(1 - separation) * shared", "(1 - separation) * own", "data"),
    Mutant("data/clusters.py", "np.where(a // 2 == c % k, a, b)", "np.where(a // 2 == c % k, b, a)", "data"),
    Mutant("data/text.py", "windows[chosen] = self.files[index]", "windows[chosen] = self.files[0]", "data"),
    Mutant("data/text.py", "_tokenizer.no_truncation()", "_tokenizer.no_padding()", "data"),
    Mutant("config/text.py", "block >= text.vocab_size", "block > text.vocab_size", "config"),
    Mutant("data/text.py", "self.training[block, 1] - self.window + 1 + drawn", "self.training[block, 1] + drawn", "data"),
    Mutant("evaluate.py", "logits.double().log_softmax(-1)", "logits.double()", "test_evaluate.py data"),
    Mutant("tally.py", "loss[None] * len(entropy)", "loss[None]", "test_tally.py"),
    Mutant("passes.py", "loss = lm_loss + aux_loss", "loss = lm_loss", "test_loop.py"),
    Mutant("passes.py", "k: v * part for k, v", "k: v for k, v", "test_loop.py"),
    Mutant("loop.py", "lr * group[\"lr_factor\"]", "lr", "test_loop.py"),
    Mutant("passes.py", "if not ahead.members:", "if True:", "test_loop.py test_pooling.py"),
    Mutant("attribution.py", "task = whole - total", "task = whole", "test_loop.py"),
    Mutant("portrait.py", "domains[:, skip:]", "domains[:, :]", "test_portrait.py test_evaluate.py"),
    Mutant("portrait.py", "if batch.size == batches[0].size", "", "test_portrait.py"),
    Mutant("references.py", "del shared[\"model\"][\"moe_layers\"]", "pass", "test_references.py"),
    Mutant("report/references.py", "references[WORST] - loss", "loss - references[BEST]", "report/test_references.py"),
    Mutant("report/references.py", "(role[\"comparable\"], role[\"gate\"])", "(role[\"comparable\"],)", "report/test_references.py"),
    Mutant("report/replicates.py", "if seed in arm]", "]", "report/test_replicates.py"),
    Mutant("statistics.py", "ddof=1", "ddof=0", "test_statistics.py"),
    Mutant("store/arrays.py", "if later > step:", "if later >= step:", "store"),
    Mutant("feed_forward.py", "F.silu(gate) * value", "gate * F.silu(value)", "test_feed_forward.py"),
    Mutant("passes.py", 'sums.fault = not_finite("loss", losses.sum(), routings, ranks)', "sums.fault = None", "test_loop.py"),
    Mutant("experiment.py", "window.counts.extend(", "list(", "test_experiment.py test_resume.py"),
    Mutant("store/commit.py", "_checked_files(target)\n", "pass\n", "store"),
    Mutant("statistics.py", "stdtrit(n - 1", "stdtrit(n", "test_statistics.py"),
    Mutant("statistics.py", "- ROUNDING * np.abs(observed).sum(0)", "- 0", "test_statistics.py"),
    Mutant("statistics.py", "(1 + hits) / (1 + DRAWS)", "hits / DRAWS", "test_statistics.py"),
    Mutant("statistics.py", "per_row = -(-n // 64)", "per_row = 1", "test_statistics.py"),
    Mutant("statistics.py", "(len(tested) - rank)", "len(tested) / (rank + 1)", "test_statistics.py test_calibration.py"),
    Mutant("statistics.py", "max(largest, (len(tested) - rank) * p)", "(len(tested) - rank) * p", "test_statistics.py"),
    Mutant("statistics.py", "abs(float(np.mean(differences))) - margin", "float(np.mean(differences)) - margin", "test_statistics.py"),
    Mutant("statistics.py", "/ max(n, 1) + z**2 / 4", "/ max(n, 1)", "test_statistics.py"),
    Mutant("statistics.py", "end = max((", "end = min((", "test_thresholds.py"),
    Mutant("statistics.py", "lows[(n - 1) // 2]", "lows[n // 2]", "test_thresholds.py"),
    Mutant("statistics.py", "for i in range(r))", "for i in range(r - 1))", "test_thresholds.py test_calibration.py"),
    Mutant("statistics.py", "point[1] < lowest", "point[1] <= lowest", "test_thresholds.py"),
    Mutant("report/contrasts.py", "[loss - baseline[seed] for seed, loss in arm.items() if seed in baseline]", "[a - b for a, b in zip(arm.values(), baseline.values(), strict=False)]", "report/test_contrasts.py"),
    Mutant("report/contrasts.py", "zip(chance, holm(chance)", "zip(chance, chance", "report/test_contrasts.py"),
    Mutant("report/contrasts.py", "if mean < 0", "if mean > 0", "report/test_contrasts.py"),
    Mutant("report/doses.py", "bracket(doses, row[::onward])", "bracket(doses, row)", "report/test_doses.py"),
    Mutant("report/doses.py", "if all(seed in run for run in runs)", "if any(seed in run for run in runs)", "report/test_doses.py"),
    Mutant("report/sweeps.py", "verdicts[len(verdicts) // 2]", "verdicts[(len(verdicts) - 1) // 2]", "report/test_sweeps.py"),
    Mutant("report/sweeps.py", "return [] if None in values else values", "return [value for value in values if value is not None]", "report/test_sweeps.py"),
    Mutant("report/sweeps.py", "in FAILURES)", '== "diverged")', "report/test_sweeps.py"),
    Mutant("report/sweeps.py", "(row.loss.mean, row.cv.mean)", "(row.loss.mean, 0.0)", "report/test_sweeps.py"),
    Mutant("report/replicates.py", "0 < n < FEW", "0 < n <= FEW", "report/test_sweep_pages.py report/test_replicates.py"),
    Mutant("report/sweep_pages.py", "if len(floors) == 1", "if floors", "report/test_sweep_pages.py"),
    Mutant("report/sweep_pages.py", "[d and d.p_holm for d in found]", "[d and d.p for d in found]", "report/test_sweep_pages.py"),
    Mutant("report/sweep_tables.py", "if with_times or name != RATE", "if True", "report/test_sweep_tables.py"),
    Mutant("report/outcomes.py", "run.outcomes.keys() == set(OUTCOMES)", "False", "report/test_outcomes.py"),
    Mutant("report/outcomes.py", "collapses[-1]", "collapses[0]", "report/test_outcomes.py"),
    Mutant("report/trends.py", "(done > 0.5) & (done <= 0.75)", "done <= 0.75", "report/test_trends.py"),
    Mutant("report/tuned.py", "if chain.settled else None", "", "report/test_tuned.py"),
    Mutant("store/read.py", "tuple(map(normal, settings))", "list(map(normal, settings))", "store/test_read.py report"),
    Mutant("tuning.py", '["max_violation"] > LIMIT', '["max_violation"] >= LIMIT', "test_tuning.py"),
    Mutant("tuning.py", "if following in runs or", "if", "test_tuning.py"),
    Mutant("plan.py", "for seed in self.seeds for point in self.points]", "for point in self.points for seed in self.seeds]", "test_plan.py"),
    Mutant("cores.py", "int(used) // int(period)", "-(-int(used) // int(period))", "test_cores.py"),
    Mutant("sweep/check.py", "before = first.setdefault(", "before = dict().setdefault(", "sweep/test_grid.py"),
    Mutant("sweep/drive.py", "if self.deaths[run.name] > self.policy.retries:", "if self.deaths[run.name] >= self.policy.retries:", "sweep/test_drive.py"),
    Mutant("sweep/drive.py", 'elif state != "diverged" and self._at_once', "elif False and self._at_once", "sweep/test_drive.py"),
    Mutant("sweep/drive.py", "elif found.state in FAILURES and not self.policy.retry_failed:", "elif found.state in FAILURES:", "sweep/test_drive.py"),
    Mutant("launch/local.py", "max(1, cores() // threads)", "max(1, cores())", "launch/test_local.py"),
    Mutant("launch/local.py", "gpu for _ in range(demand.per_gpu) for gpu in gpus", "gpu for gpu in gpus for _ in range(demand.per_gpu)", "launch/test_local.py"),
    Mutant("launch/local.py", "with limited_threads(threads), blocked_signals():", "with blocked_signals():", "launch/test_local.py"),
    Mutant("launch/local.py", "self._slots.append(member.slot)", "pass", "launch/test_local.py"),
    Mutant("job/carry_out.py", "Ended(task.run.name, refusal.render(), in_use=in_use)", "Ended(task.run.name)", "launch/test_local.py"),
    Mutant("job/ray/share.py", "min(cpus, int(node.get(\"GPU\", 0)) * self.per_gpu) if self.per_gpu else cpus", "cpus", "job/ray"),
    Mutant("job/ray/share.py", "int(node.get(\"CPU\", 0)) // self.cpus", "int(node.get(\"CPU\", 0))", "job/ray"),
    Mutant("job/ray/share.py", "(device == \"auto\" and any(node.get(\"GPU\") for node in nodes))", "device == \"auto\"", "job/ray"),
    Mutant("launch/ray.py", "if \"://\" in address:", "if False:", "launch/test_ray.py"),
    Mutant("launch/ray.py", "and 0 < int(port) < 65536", "and int(port) < 65536", "launch/test_ray.py"),
    Mutant("store/lock.py", "if not here:", "if False:", "store/test_lock.py"),
    Mutant("store/attempts.py", "self._write(run_name, records.Attempt(attempt=number, job=None))", "pass", "store/test_attempts.py"),
    Mutant("store/attempts.py", "isinstance(error.__cause__, FileNotFoundError)", "True", "store/test_attempts.py"),
    Mutant("store/fenced.py", "if latest == self._attempt:", "if latest <= self._attempt:", "store/test_fenced.py"),
    Mutant("store/fenced.py", "if not self._written or descriptor in self._written:", "if not self._written:", "store/test_fenced.py"),
    Mutant("store/fenced.py", "self._ended = self._ended or self._overtaken()", "self._ended = self._overtaken()", "store/test_fenced.py"),
    Mutant("store/fenced.py", "            self._look()\n        except FencedError:", "            pass\n        except FencedError:", "store/test_fenced.py"),
    Mutant("store/fenced.py", "        self._look()\n        super().rename(old, new)", "        super().rename(old, new)", "reliability/test_zombies.py"),
    Mutant("store/run.py", "                take_over(disk, directory)\n", "                pass\n", "store/test_fenced.py"),
    Mutant("store/folders.py", "    if not disk.shared:\n", "    if True:\n", "store/test_fenced.py"),
    Mutant("store/folders.py", "except InUseError:", "except ZeroDivisionError:", "store/test_folders.py"),
    Mutant("store/sweep.py", "(run for run in asked if run.name not in known)", "asked", "store/test_sweep.py"),
    Mutant("store/sweep.py", "        self._failures[run.name] = kept\n", "", "store/test_sweep.py"),
    Mutant("store/events.py", '.rfind(b"\\n") + 1', '.find(b"\\n") + 1', "store/test_events.py"),
    Mutant("plan.py", 'point.settings.get("train.threads", base)', "base", "test_plan.py"),
    Mutant("sweep/begin.py", "if found := differences(stored.plan, stored.base.config, grid):", "if found := []:", "cli/test_sweeping.py"),
    Mutant("progress/board.py", "done <= 0 or (done < SURE_SHARE", "done < 0 or (done < SURE_SHARE", "progress"),
    Mutant("store/commit.py", "return sorted((step, folder) for step, folder in found if step is not None)", "return sorted(((step, folder) for step, folder in found if step is not None), key=lambda pair: pair[1].stat().st_mtime)", "store/test_commit.py"),  # M13
    Mutant("store/commit.py", 'if rows.sha256 != committed["sha256"]:', "if False:", "store/test_commit.py"),
    Mutant("store/seal.py", "if record != sealed(body):", "if False:", "store/test_seal.py"),
    Mutant("store/tails.py", "if len(data) > (", "if data and len(data) >= 0 * (", "store/test_tails.py"),
    Mutant("store/tails.py", "if name in layout.CLOCKED:", "if False:", "store/test_tails.py"),
    Mutant("machine.py", "name: _without_home(os.environ[name]) for name in ENVIRONMENT if name in os.environ", "**os.environ", "test_security.py"),
    Mutant("machine.py", "*map(_without_home, sys.argv[1:])", "*sys.argv[1:]", "test_security.py"),
    Mutant("machine.py", "    refuse_old(torch.__version__)\n", "", "test_security.py"),
    Mutant("streams.py", "torch.special.ndtri(torch.from_numpy(self.uniform(purpose, shape)))", "torch.randn(shape)", "test_determinism.py"),
    Mutant("sweep/drive.py", 'elif found.state == "running":', "elif False:", "sweep/test_adoption.py"),  # M14
    Mutant("sweep/drive.py", '"running" or message.in_use:', '"running":', "sweep/test_adoption.py"),  # M14
    Mutant("job/carry_out.py", "            if not directory.exists():\n                raise\n", "            raise\n", "sweep/test_adoption.py"),  # M14
    Mutant("store/sweep.py", "if not stored.is_finished and stored.is_alive:", "if False:", "store/test_sweep.py"),  # M14
    Mutant("store/sweep.py", 'if key != "name":', "if False:", "store/test_sweep.py"),
    Mutant("sweep/drive.py", "        with launcher:\n", "        if launcher.__enter__():\n", "sweep/test_drive.py"),
    Mutant("sweep/drive.py", "self.launcher.fenced or self.attempts.number(run.name)", "self.launcher.fenced", "sweep/test_engines.py"),
    Mutant("sweep/drive.py", "            elif self._adopted(found.run):", "            elif False:", "sweep/test_engines.py"),
    Mutant("sweep/drive.py", "self.attempts.note_job(name, job)", "pass", "sweep/test_engines.py"),
    Mutant("job/carry_out.py", "if task.attempt is not None:", "if False:", "job/test_carry_out.py"),
    Mutant("job/following.py", "self._turns.rotate(-len(looked_at))", "pass", "job/test_following.py"),
    Mutant("cli/launching.py", "if ranks.launched():", "if False:", "cli/test_sweeping.py"),
    Mutant("store/disk.py", 'temporary = path.with_name(f".{path.name}.new")', "temporary = path", "reliability/test_kills.py"),  # M1
    Mutant("store/disk.py", "            self.write_all(descriptor, data)\n            self.system.sync(descriptor)\n", "            self.write_all(descriptor, data)\n", "reliability/test_power_loss.py"),  # M2
    Mutant("store/disk.py", "                self.system.sync(descriptor)\n            finally", "                pass\n            finally", "reliability/test_power_loss.py"),  # M3
    Mutant("store/tables.py", "            self._disk.system.sync(self._descriptor)\n", "            pass\n", "reliability/test_power_loss.py"),  # M4
    Mutant("store/commit.py", "    _checked_files(target)\n    _delete_old(disk, directory, state.step, keep, damaged)\n", "    _delete_old(disk, directory, state.step, keep, damaged)\n    _checked_files(target)\n", "reliability/test_errors.py"),  # M5
    Mutant("store/tables.py", "        disk.cut(path, prefix.length)\n", "", "reliability/test_sequences.py store/test_reopen.py"),  # M7
    Mutant("store/run.py", "            lock = Lock(directory, disk)\n            undo.callback(lock.close)\n            clear_leftovers(disk, directory)\n", "            clear_leftovers(disk, directory)\n            lock = Lock(directory, disk)\n            undo.callback(lock.close)\n", "reliability/test_writers.py"),  # M11
    Mutant("store/disk.py", 'raise StorageError(f"cannot write {path}: {error.strerror}", help=remedy) from error', "pass", "reliability/test_errors.py"),  # M12
    Mutant("resuming.py", "Done(state.step, evaluated, elapsed_s)", "Done(state.step - 1, evaluated, elapsed_s)", "reliability/test_cuts.py"),  # M8
    Mutant("routing/top_k.py", 'return stream.normal("router_noise", shape)', "return torch.randn(shape)", "reliability/test_cuts.py"),  # M9
    Mutant("signals.py", "        self.signal = signal.Signals(number)\n", "        raise KeyboardInterrupt\n", "reliability/test_signals.py"),  # M10
    Mutant("store/commit.py", "    if _sha256(data) != expected", "    if False and _sha256(data) != expected", "reliability/test_damage.py"),  # M6
    Mutant("store/commit.py", "    if rows.sha256 != committed", "    if False and rows.sha256 != committed", "reliability/test_damage.py"),  # M6
    Mutant("store/seal.py", "        check_seal(record, path)\n    return", "        pass\n    return", "report/test_runs.py"),  # M6
    Mutant("store/files.py", "os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK", "os.O_RDONLY | os.O_NONBLOCK", "store/test_files.py"),
    Mutant("store/files.py", "_FOLDER | os.O_NOFOLLOW, parent", "_FOLDER, parent", "store/test_files.py"),
    Mutant("store/table_reading.py", 'if last.count(b",") >= commas:', "if last:", "store/test_table_reading.py"),
    Mutant("store/table_rules.py", "np.diff(steps) < 0", "np.diff(steps) > 9", "store/test_table_reading.py"),
    Mutant("escape.py", "if text.startswith(FORMULA) else text", "if False else text", "report/test_tidy.py"),
    Mutant("signals.py", " if signal.getsignal(asked) is not signal.SIG_IGN]", "]", "test_signals.py"),
    Mutant("loop.py", "    if not fault:\n", "    if True:\n", "test_loop.py"),
    Mutant("experiment.py", '"evaluated": evaluated}', '"evaluated": True}', "test_session.py"),
    Mutant("resuming.py", "        disk.discard(run.directory / layout.SUMMARY)\n", "", "test_resuming.py"),
    Mutant("store/following.py", "if file.read(len(self._mark)) != self._mark:", "if False:", "store/test_following.py"),
    Mutant("watch/rows.py", "return self.last - 1 if self._follower.has_more else self.last", "return self.last", "watch/test_rows.py"),
    Mutant("watch/rows.py", "timing = [] if ended else [self._timing]", "timing = list[_Table]()", "watch/test_rows.py"),
    Mutant("watch/run.py", 'if state == "interrupted" and patient:', "if False:", "watch/test_run.py"),
    Mutant("progress/bars.py", "by_n_eff[: max(1, min(most, height - 2))]", "sorted(by_n_eff[: max(1, min(most, height - 2))])", "progress/test_bars.py"),
    Mutant("progress/sparks.py", " if lowest is None else lowest", "", "progress/test_sparks.py progress/test_view.py"),
    Mutant("progress/story.py", "(ended - began) / (last - first) if last > first else ended / last", "ended / last", "progress/test_story.py"),
    Mutant("store/exports.py", "sorted(names - {*record[\"files\"], *OURS})", "[]", "store/test_exports.py"),
    Mutant("export/base.py", "self.rows + 1)", "self.rows)", "export/test_csv_long.py"),
    Mutant("export/parquet.py", ".T.ravel()", ".ravel()", "export/test_parquet.py"),
    Mutant("export/tensorboard.py", "double_val=(value,)", "double_val=(round(value, 12),)", "export/test_tensorboard.py"),
    Mutant("export/tensorboard.py", "bisect_right(self._steps, step)", "bisect_right(self._steps, step - 1)", "export/test_tensorboard.py"),
    Mutant("figures/cv.py", "(values != values.shift(1)) | (values != values.shift(-1))", "values != values.shift(1)", "figures/test_cv.py"),
    Mutant("figures/gap.py", "rung[\"loss\"] - origin", "rung[\"loss\"]", "figures/test_gap.py"),
    Mutant("figures/gradients.py", "if not rows.loc[rows[\"source\"] == source, \"grad\"].any()", "if False", "figures/test_gradients.py"),
    Mutant("figures/losses.py", "groupby(\"step\").mean()", "groupby(\"step\").max()", "figures/test_losses.py"),
    Mutant("figures/shares.py", "np.vstack([counts[alone], others]) / counts.sum(0)", "np.vstack([counts[alone], others]) / counts[alone].sum(0)", "figures/test_shares.py"),
    Mutant("figures/coactivation.py", "(tokens + 1) / (expected + 1)", "(tokens + 1) / (expected.mean() + 1)", "figures/test_coactivation.py"),
    Mutant("figures/timeline.py", "opacity=1 if dots else 0", "opacity=0", "figures/test_cv.py"),
    Mutant("exporting.py", "sweep.check_settings(planned, run)", "pass", "test_exporting.py"),
    Mutant("figures/thinning.py", "above = high * found >= 1", "above = high - 1 >= 1 - found", "figures/test_thinning.py"),
    Mutant("figures/thinning.py", "np.maximum(count, 1)", "len(block)", "figures/test_thinning.py"),
    Mutant("figures/ending.py", "held_out.steps[-1] > 0", "held_out.steps[-1] >= 0", "figures/test_ending.py"),
    Mutant("figures/ending.py", "self.assignments >= MIN_EXPECTED * len(self.load)", "True", "figures/test_ending.py"),
    Mutant("figures/streams.py", "(_height(len(share)) - STREAMS) / 2", "np.arange(len(share))", "figures/test_routing.py"),
    Mutant("figures/load_heatmap.py", "= loads.shape[1] * np", "= np", "figures/test_load_heatmap.py"),
    Mutant("figures/axis.py", "return low - (high - low)", "return low + (high - low)", "figures/test_axis.py"),
    Mutant("figures/bands.py", "found.mean - half", "found.mean - 2 * half", "figures/test_bands.py"),
    Mutant("figures/bands.py", "keys = [\"seed\", \"step\"]", "keys = [\"step\"]", "figures/test_bands.py"),
    Mutant("figures/arms.py", "next(iter(groups)), loss", "arms[0].point, loss", "figures/test_arms.py"),
    Mutant("figures/shades.py", "if rising else doses.ends[::-1]", "if True else doses.ends[::-1]", "figures/test_dose.py"),
    Mutant("page/page.py", "autoescape=True", "autoescape=False", "page/test_page.py"),
    Mutant("page/page.py", "return escape.lines(value) if type(value) is str else value", "return value", "page/test_page.py"),
    Mutant("page/page.py", 'for character in "<>&":', 'for character in "&":', "page/test_page.py"),
    Mutant("page/tables.py", "return value.mean", "return value.n", "page/test_tables.py"),
    Mutant("page/troubles.py", "[-TAIL:]", "[:TAIL]", "page/test_states.py"),
    Mutant("passes.py", "experiment.share / accumulate", "1 / ranks.world_size / accumulate", "ranks/test_equal.py"),
    Mutant("passes.py", ".after(rows.start * batch.inputs.shape[1])", "", "ranks/test_equal.py"),
    Mutant("passes.py", "    ranks.sum(*(tally.sums for tally in tallies.values()))\n", "", "ranks/test_equal.py"),
    Mutant("passes.py", "*gradients(model), *(g for layers", "*(g for layers", "ranks/test_equal.py"),
    Mutant("passes.py", "*gradients(model), *(g for layers in sums.grads.values() for g in layers.values())", "*gradients(model)", "ranks/test_equal.py"),
    Mutant("pooling.py", "        self._ranks.sum(*found.values())\n", "", "ranks/test_equal.py"),
    Mutant("pooling.py", "self._share * balancer", "balancer", "ranks/test_equal.py"),
    Mutant("pooling.py", "self._sums: Means = {}", 'self._sums: Means = experiment.__dict__.setdefault("sums", {})', "test_pooling.py"),
    Mutant("pooling.py", "self._sums[key] + found if key in self._sums else found", "found", "test_pooling.py"),
    Mutant("balancing/switch.py", "else pooled[0].to(", "else pooled[1].to(", "balancing"),
    Mutant("balancing/importance.py", 'if self.of == "gates" else 1', "* 0 + 1", "balancing"),
    Mutant("streams.py", "self.first_row * int(np.prod(shape[1:]))", "self.first_row", "test_streams.py"),
    Mutant("routing/reference.py", "places = stream.first_row, stream.first_row + len(x)", "places = 0, len(x)", "ranks/test_equal.py"),
    Mutant("signals.py", "max(self._ranks.gather(self.exit_code))", "self.exit_code", "ranks/test_runs.py"),
    Mutant("signals.py", "self._ranks.world_size == 1 or asked != number", "True", "ranks/test_runs.py"),
    Mutant("ranks.py", "        raise OtherRankError(refusing[0], said, codes[refusing[0]]) from raised\n", "        return\n", "ranks/test_runs.py"),
    Mutant("resuming.py", "    if began == ranks.world_size:\n", "    if True:\n", "ranks/test_runs.py"),
    Mutant("sharing.py", "            experiment.restore(state)\n", "", "ranks/test_runs.py"),
    Mutant("job/slurm/given.py", "MISSED = 2", "MISSED = 1", "job/slurm/test_given.py"),
    Mutant("job/slurm/given.py", "self._jobs[run].task.attempt == attempt", "True", "job/slurm/test_given.py"),
    Mutant("job/slurm/queue.py", "and self._clock() >= self._next", "", "job/slurm/test_queue.py"),
    Mutant("job/slurm/folder.py", "os.O_CREAT | os.O_EXCL", "os.O_CREAT", "job/slurm/test_folder.py"),
    Mutant("job/slurm/asked.py", "60 * found <= signal_before", "60 * found < signal_before", "job/slurm/test_asked.py"),
    Mutant("job/slurm/call.py", "if notice.signal and not folder.stopping and", "if notice.signal and", "job/slurm/test_call.py"),
    Mutant("job/slurm/call.py", "if not _is_running():", "if False:", "job/slurm/test_call.py"),
)  # fmt: skip


def main() -> int:
    """Try every mutant; the exit status says whether all were noticed."""
    survivors = [mutant for mutant in MUTANTS if not _noticed(mutant)]
    print(f"{len(MUTANTS) - len(survivors)} of {len(MUTANTS)} faults were noticed")
    return 1 if survivors else 0


def _noticed(mutant: Mutant) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for part in ("moe_lab", "tests", "configs", "pyproject.toml", *NAMED):
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy / part)
        path = copy / "moe_lab" / mutant.file
        text = path.read_text(encoding="utf-8")
        assert text.count(mutant.right) == 1, f"{mutant.file} has not once: {mutant.right!r}"
        path.write_text(text.replace(mutant.right, mutant.wrong), encoding="utf-8")
        failed = _tests_fail(copy, mutant.tests)
    print(f"{'noticed ' if failed else 'SURVIVED'}  {mutant.file}: {mutant.right.strip()} -> {mutant.wrong.strip()}", flush=True)  # fmt: skip
    return failed


def _tests_fail(copy: Path, tests: str) -> bool:
    """Whether the tests, run on the copy, fail as tests do (1) and not for another reason."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "-m",
        "not slow" if tests.startswith("ranks/") else "not slow and not engines",  # gloo is torch's
    ]
    paths = [f"tests/{name}" for name in tests.split()]
    environment = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, *paths], cwd=copy, env=environment, capture_output=True, text=True)  # fmt: skip
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.returncode == 1


if __name__ == "__main__":
    sys.exit(main())
