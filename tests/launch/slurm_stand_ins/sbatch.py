"""`sbatch SCRIPT`: takes a job, or an array of them."""

import re
import sys
from pathlib import Path

import cluster

cluster.reach()
(script,) = sys.argv[1:]
options = dict(re.findall(r"^#SBATCH --([a-z-]+)=?(.*)$", Path(script).read_text(), re.MULTILINE))
if options.get("partition", "cpu") != "cpu":
    sys.exit(
        "sbatch: error: invalid partition specified: " + options["partition"] + "\n"
        "sbatch: error: Batch job submission failed: Invalid partition name specified"
    )
assert "requeue" in options
assert options["open-mode"] == "append"
first, last, at_once = re.fullmatch(r"(\d+)-(\d+)%(\d+)", options.get("array", "0-0%1")).groups()
with cluster.jobs() as found:
    if found and (cluster.FOLDER / "full").exists():
        sys.exit("sbatch: error: QOSMaxSubmitJobPerUserLimit")
    number = 1 + max((int(job["array"]) for job in found), default=100)
    for index in range(int(first), int(last) + 1):
        found.append(
            {
                "id": f"{number}_{index}" if "array" in options else str(number),
                "array": str(number),
                "raw": f"{number}{index:03d}" if "array" in options else str(number),
                "name": options["job-name"],
                "script": str(Path(script).resolve()),
                "options": options,
                "state": "PENDING",
                "at_once": int(at_once),
                "restarts": 0,
                "requeue": False,
                "step": None,
                "batch": None,
                "kill_at": None,
            }
        )
cluster.log(f"sbatch {number} {int(last) - int(first) + 1}")
print(f"Submitted batch job {number}")
