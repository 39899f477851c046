"""Runs a job's script, as the daemon of a node does, and tells the cluster when it is over."""

import os
import signal
import subprocess
import sys
import time

import cluster

(me,) = sys.argv[1:]
with cluster.jobs() as found:
    job = next(job for job in found if job["id"] == me)
    given = {"SLURM_JOB_ID": job["raw"], "SLURM_RESTART_COUNT": str(job["restarts"])}
    if "_" in me:
        array, index = me.split("_")
        given |= {"SLURM_ARRAY_JOB_ID": array, "SLURM_ARRAY_TASK_ID": index}
    batch = subprocess.Popen(
        ["bash", job["script"]],
        env={**os.environ, **given, "SLURM_PROCID": "0", "SLURM_NTASKS": "1"},
        start_new_session=True,
    )
    job["batch"], job["step"], job["kill_at"] = batch.pid, None, None
while (code := batch.poll()) is None:
    with cluster.jobs() as found:
        job = next(job for job in found if job["id"] == me)
        if job["kill_at"] and time.time() > job["kill_at"]:
            cluster.tell(job["step"], signal.SIGKILL)
            cluster.tell(batch.pid, signal.SIGKILL)
    time.sleep(0.1)
with cluster.jobs() as found:
    job = next(job for job in found if job["id"] == me)
    if job["requeue"]:
        job |= {"state": "PENDING", "requeue": False, "restarts": job["restarts"] + 1}
    elif job["state"] == "COMPLETING":
        job["state"] = "CANCELLED"
    else:
        job["state"] = "FAILED" if code else "COMPLETED"
    job["step"] = job["batch"] = None
