"""`srun --unbuffered --output FILE COMMAND…`: the step of a job, which is this process."""

import os
import sys
from pathlib import Path

import cluster

unbuffered, word, pattern, *command = sys.argv[1:]
assert (unbuffered, word) == ("--unbuffered", "--output")
raw = os.environ["SLURM_JOB_ID"]
with cluster.jobs() as found:
    job = next(job for job in found if job["raw"] == raw)
    job["step"] = os.getpid()
names = {"%A": job["array"], "%a": job["id"].partition("_")[2], "%j": job["id"], "%t": "0"}
for letter, value in names.items():
    pattern = pattern.replace(letter, value)
with Path(pattern).open("a") as file:
    os.dup2(file.fileno(), 1)
    os.dup2(file.fileno(), 2)
os.execvp(command[0], command)
