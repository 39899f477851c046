"""`scancel [--state=PENDING] [--signal=TERM] ID…`: whole arrays, or jobs."""

import signal
import sys

import cluster

cluster.reach()
ids = {item for item in sys.argv[1:] if not item.startswith("--")}
options = dict(item.partition("=")[::2] for item in sys.argv[1:] if item.startswith("--"))
cluster.log("scancel " + " ".join(sys.argv[1:]))
with cluster.jobs() as found:
    for job in found:
        if not {job["id"], job["array"]} & ids:
            continue
        if options.get("--state", job["state"]) != job["state"]:
            continue
        if "--signal" in options:
            cluster.tell(job["step"], signal.Signals[f"SIG{options['--signal']}"])
        elif job["state"] == "PENDING":
            job["state"] = "CANCELLED"
        elif job["state"] == "RUNNING":
            cluster.end(job)
