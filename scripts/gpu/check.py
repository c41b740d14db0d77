"""Runs every method in every precision on this machine's GPU, or on a simulated one, and checks what comes of it.

Prints a line for each job and writes summary.json and summary.txt; the exit status is 1 if one failed or was not run.
"""

import argparse
import json
import os
import re
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

VISIBLE = os.environ.get("CUDA_VISIBLE_DEVICES")
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # this process must not touch a card, or its children could not

import soak_children as children  # noqa: E402

LONGEST = 0.25  # of all seconds together: what one program may take
OUTCOMES = ("ok", "failed", "not run")


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cuda", "simulated"), help="cuda where there is one")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="at a time")
    parser.add_argument("--seconds", type=float, default=340, help="of all jobs together; others are not run")
    parser.add_argument("--only", default="", help="jobs whose kind, name and precision match this regular expression")
    parser.add_argument("--write", type=Path, default=Path("checkpoints/gpu-check"), help="folder of the summary")
    args = parser.parse_args()
    began, folder = time.monotonic(), Path(tempfile.mkdtemp(prefix="gpu-check-"))
    children.preload()
    name, cards = ("", ()) if args.device == "simulated" else look(folder / "cards")
    if args.device == "cuda" and not cards:
        sys.exit("--device cuda: torch finds no GPU here; give --device simulated")
    rows = run_all(args, folder, name, cards, began)
    report(rows, name or "a simulated GPU", time.monotonic() - began, args.write)
    shutil.rmtree(folder)
    sys.exit(any(row["outcome"] != "ok" for row in rows) or not rows)


def look(path):
    """Name and numbers of the cards, found by a child; ``("", ())`` without any."""

    def ask():
        visible()
        import torch

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        numbers = VISIBLE.split(",") if VISIBLE else [str(number) for number in range(count)]
        found = torch.cuda.get_device_name(0) if count else ""
        path.write_text(json.dumps([found, numbers[:count]]))

    if children.finish(children.start_work(ask, path.with_suffix(".log"))):
        sys.exit(path.with_suffix(".log").read_text()[-500:])
    found, numbers = json.loads(path.read_text())
    return found, tuple(numbers)


def visible():
    """Give back what this process hid from itself."""
    os.environ.pop("CUDA_VISIBLE_DEVICES")
    if VISIBLE is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = VISIBLE


def run_all(args, folder, name, cards, began):
    """Run jobs side by side; list of dict, as :func:`run_one` gives them."""
    from jobs import all_jobs
    from places import SIMULATED, Device, Place
    from soak_runs import make_data

    cards = cards or (SIMULATED,)
    data, device = folder / "data", Device(name, cards, began + args.seconds, LONGEST * args.seconds)
    make_data(data, children.run_in_child)
    jobs = [job for job in all_jobs(cards != (SIMULATED,)) if re.search(args.only, str(job))]
    places = [Place(folder / str(number), data, device, cards[number % len(cards)])
              for number in range(len(jobs))]  # fmt: skip
    rows = []
    with ProcessPoolExecutor(max(args.jobs, 1), get_context("fork"), children.become_reaper) as pool:
        waiting = [pool.submit(run_one, job, place) for job, place in zip(jobs, places, strict=True)]
        for future in as_completed(waiting):
            rows.append(future.result())
            if rows[-1]["outcome"] != "ok":
                print(line(rows[-1]), flush=True)
    return sorted(rows, key=lambda row: (row["kind"], row["name"]))


def run_one(job, place):
    """Do a job; dict of what it was, its outcome, seconds, those of a core, what was wrong, and all known of that."""
    began, spent, outcome, wrong, more = time.monotonic(), core_seconds(), "ok", "", ""
    if began > place.device.deadline:
        outcome = "not run"
    else:
        place.folder.mkdir()
        try:
            job.work(place)
            shutil.rmtree(place.folder)
        except Exception as error:
            ended = time.monotonic() < place.device.deadline
            outcome, wrong = "failed" if ended else "not run", str(error) or type(error).__name__
            more = getattr(error, "more", "") or traceback.format_exc()
    what = {"kind": job.kind, "name": job.name, "precision": job.precision}
    took = {"seconds": round(time.monotonic() - began, 1), "core_seconds": round(core_seconds() - spent, 1)}
    return {**what, "outcome": outcome, **took, "wrong": wrong, "more": more}


def core_seconds():
    """What the children of this process that have ended have used of cores so far (s)."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def line(row):
    """A row of the table."""
    cells = (row["kind"], row["name"], row["precision"], row["outcome"], str(row["seconds"]), row["wrong"])
    return f"| {' | '.join(cells)} |"


def report(rows, name, seconds, folder):
    """Print the table and write the summary."""
    import torch

    from fairseq_prune.engine.run_record import PACKAGE, source_revision
    from fairseq_prune.files.atomic import write_text
    from fairseq_prune.files.json_file import write_json

    counts = Counter(row["outcome"] for row in rows)
    about = {"device": name, "torch": torch.__version__, "source": source_revision(PACKAGE), "seconds": round(seconds),
             "counts": {outcome: counts[outcome] for outcome in OUTCOMES}}  # fmt: skip
    table = ["| kind | name | precision | outcome | seconds | wrong |", "|---|---|---|---|---:|---|", *map(line, rows)]
    said = ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES)
    text = "\n".join([*table, "", f"{name}, torch {torch.__version__}, {seconds:.0f} s: {said}"]) + "\n"
    print(text, end="")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "summary.json", {**about, "jobs": rows})
    write_text(folder / "summary.txt", text)


if __name__ == "__main__":
    main()
