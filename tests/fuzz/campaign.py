"""Campaign: thousands of mutated files are read in child processes, and it is counted what comes.

    python -m tests.fuzz.campaign --files 5000

Ends with exit code 1 if a file ended the process that asked for it, kept it busy for more than 5 s,
was read with values that are not finite, or raised what is no `ScanReadError`; or if a process took
more memory than its limit. The same seed makes the same files; one that failed is kept.
"""

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from raddiag_hf.imaging.guard import end_readers
from raddiag_hf.imaging.reading import read_scan, read_scans
from raddiag_hf.imaging.scan import ReadLimits, ScanReadError
from tests.fuzz.kinds import WRITERS
from tests.fuzz.mutations import mutate

LIMITS = ReadLimits(max_decoded_bytes=64 * 2**20)
HANG_S = 5.0
FILES_PER_CHILD = 500
"""Then another one asks, so that a death costs little, and memory is measured anew."""


def main() -> None:
    """Run the campaign, print the counts, and write them where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kept", type=Path, default=Path("fuzz-failures"))
    parser.add_argument("--output", type=Path, help="JSON of the counts")
    arguments = parser.parse_args()
    result = run(arguments.files, arguments.seed, arguments.kept)
    print(json.dumps(result, indent=2))
    if arguments.output is not None:
        arguments.output.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    raise SystemExit(1 if any(result["faults"].values()) else 0)


def run(num_files: int, seed: int, kept: Path) -> dict[str, Any]:
    """Read so many mutated files; return what became of them.

    Args:
        num_files: Each kind in turn.
        seed: Of the first file; the next one has the next.
        kept: Folder for files that did what none may.
    """
    begin = time.monotonic()
    outcomes: dict[str, Counter[str]] = {kind: Counter() for kind in WRITERS}
    faults: Counter[str] = Counter(dict.fromkeys(FAULTS, 0))
    slowest_s, peaks = 0.0, [0, 0]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        originals = {kind: write(folder / kind).read_bytes() for kind, write in WRITERS.items()}
        next_file = 0
        while next_file < num_files:
            here, there = multiprocessing.Pipe()
            last = min(next_file + FILES_PER_CHILD, num_files)
            child = multiprocessing.get_context("spawn").Process(
                target=read_mutated, args=(originals, folder, range(next_file, last), seed, there)
            )
            child.start()
            there.close()
            while (told := receive(here)) is not None and "peaks" not in told:
                outcomes[told["kind"]][told["outcome"]] += 1
                slowest_s = max(slowest_s, told["seconds"])
                bad = [told["fault"]] if told["fault"] else []
                for fault in bad + ["hang"] * (told["seconds"] > HANG_S):
                    faults[fault] += 1
                    keep(kept, originals, next_file, seed, fault)
                next_file += 1
            child.join()
            if told is None:
                faults["death of the parent"] += 1
                keep(kept, originals, next_file, seed, "death")
                next_file += 1
            else:
                peaks = [max(pair) for pair in zip(peaks, told["peaks"], strict=True)]
                faults["memory"] += told["peaks"][1] > told["reader_start"] + memory_limit()
                faults["memory"] += told["peaks"][0] > told["parent_start"] + memory_limit()
    return {
        "files": num_files,
        "seed": seed,
        "faults": dict(faults),
        "slowest_file_s": round(slowest_s, 2),
        "peak_mib": {"asking_process": peaks[0] >> 20, "reading_process": peaks[1] >> 20},
        "limit_mib_beyond_start": memory_limit() >> 20,
        "minutes": round((time.monotonic() - begin) / 60, 1),
        "outcomes": {kind: dict(counts.most_common()) for kind, counts in outcomes.items()},
        "total": dict(sum(outcomes.values(), Counter()).most_common()),
    }


FAULTS = ("death of the parent", "hang", "memory", "not finite", "another error")


def memory_limit() -> int:
    """Return how much a process may take beyond what it has at its start."""
    return LIMITS.max_memory_bytes


def read_mutated(
    originals: dict[str, bytes], folder: Path, numbers: range, seed: int, parent: Connection
) -> None:
    """Read files one by one, and tell of each; at last, of the memory that was taken."""
    path = folder / "mutated"
    good = WRITERS["dicom"](folder / "good.dcm")
    read_scan(good, limits=LIMITS)
    parent_start = peak_bytes(resource.RUSAGE_SELF)
    end_readers()
    reader_start = peak_bytes(resource.RUSAGE_CHILDREN)
    read_scan(good, limits=LIMITS)  # the start of a process is no file's fault
    for number in numbers:
        kind, content = mutated(originals, number, seed)
        path.write_bytes(content)
        begin = time.monotonic()
        outcome, fault = read(path)
        parent.send(
            {
                "kind": kind,
                "outcome": outcome,
                "fault": fault,
                "seconds": time.monotonic() - begin,
            }
        )
    end_readers()
    peaks = [peak_bytes(resource.RUSAGE_SELF), peak_bytes(resource.RUSAGE_CHILDREN)]
    parent.send({"peaks": peaks, "parent_start": parent_start, "reader_start": reader_start})


def mutated(originals: dict[str, bytes], number: int, seed: int) -> tuple[str, bytes]:
    """Return the kind and the bytes of a file of the campaign."""
    kinds = list(originals)
    kind = kinds[number % len(kinds)]
    other = kinds[(number // len(kinds)) % len(kinds)]
    return kind, mutate(originals[kind], originals[other], seed + number)


def read(path: Path) -> tuple[str, str]:
    """Return what became of a file, and what of that may not be."""
    try:
        scans = read_scans(path, limits=LIMITS).scans
    except ScanReadError as error:
        return error.reason.value, ""
    except Exception as error:
        return type(error).__name__, "another error"
    is_finite = all(np.isfinite(scan.volume).all() for scan in scans)
    return "read", "" if is_finite else "not finite"


def peak_bytes(whose: int) -> int:
    """Return the most memory that this process, or any that it waited for, had at once."""
    return resource.getrusage(whose).ru_maxrss * 1024


def receive(connection: Connection) -> dict[str, Any] | None:
    """Return what a child tells; None if it is gone."""
    try:
        told: dict[str, Any] = connection.recv()
    except EOFError:
        return None
    return told


def keep(kept: Path, originals: dict[str, bytes], number: int, seed: int, fault: str) -> None:
    """Write a file that did what none may, under a name that says what."""
    kept.mkdir(parents=True, exist_ok=True)
    kind, content = mutated(originals, number, seed)
    (kept / f"{kind}-{seed + number}-{fault.replace(' ', '-')}").write_bytes(content)


if __name__ == "__main__":
    main()
