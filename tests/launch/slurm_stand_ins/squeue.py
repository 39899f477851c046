"""`squeue --format=…`: of a user's jobs all that were there, of one job, by `--jobs`, that one."""

import sys

import cluster

cluster.reach()
options = dict(item.partition("=")[::2] for item in sys.argv[1:])
assert "--noheader" in options
with cluster.jobs() as found:
    wanted = options.get("--jobs")
    for job in found:
        if wanted is None or job["raw"] == wanted:
            line = options["--format"].replace("%i", job["id"]).replace("%T", job["state"])
            print(line.replace("%j", job["name"]))
if wanted is None:
    assert {"--me", "--array", "--states"} <= set(options)
    cluster.log("squeue")
