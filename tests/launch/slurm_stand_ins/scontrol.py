"""`scontrol requeue ID`: the job is ended, and waits again under its id."""

import sys

import cluster

cluster.reach()
verb, wanted = sys.argv[1:]
assert verb == "requeue"
if (cluster.FOLDER / "refuse-requeue").exists():
    sys.exit("Requested operation is presently disabled for job " + wanted)
with cluster.jobs() as found:
    job = next(job for job in found if job["id"] == wanted)
    job["requeue"] = True
    cluster.end(job)
cluster.log(f"requeue {wanted}")
