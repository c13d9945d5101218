# SPDX-License-Identifier: Apache-2.0

"""What the readers make of damaged image files, in processes of their own, as a library may end its process.

To look at one, ``PYTHONPATH=bundle python tests/fuzzing.py SEED 1 --keep FOLDER`` makes it again and keeps it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import NamedTuple

import numpy as np

from damage import damaged
from scripts.common.errors import InputError
from scripts.image_io.formats.registry import format_of
from scripts.image_io.mask_marks import read_mark
from scripts.image_io.readers import ImageFileReader, MaskFileReader
from specimens import originals

MAX_PIXELS = 20_000_000
MAX_SECONDS = 10
MAX_BYTES = 2 * 2**30


class Outcome(NamedTuple):
    """What became of one file: read, refused, or wrong, which is what must not be."""

    seed: int
    outcome: str
    seconds: float
    told: str


class Trial(NamedTuple):
    """What became of many, and the largest memory of a process that read them, in bytes."""

    outcomes: list[Outcome]
    peak: int

    def __str__(self) -> str:
        counts = {kind: sum(each.outcome == kind for each in self.outcomes) for kind in ("read", "refused", "wrong")}
        slowest = max(self.outcomes, key=lambda each: each.seconds)
        return (
            f"{len(self.outcomes)} files: {counts}; slowest {slowest.seconds:.2f} s (seed {slowest.seed}); "
            f"peak memory {self.peak / 2**20:.0f} MiB"
        )


def trial(first: int, count: int, batch: int = 2000) -> Trial:
    """Let the readers try the files of ``count`` seeds, ``batch`` in a process."""
    outcomes: list[Outcome] = []
    peak = 0
    while len(outcomes) < count:
        start = first + len(outcomes)
        done, most, ended = _in_a_process(start, min(batch, first + count - start))
        outcomes, peak = outcomes + done, max(peak, most)
        if ended:
            outcomes.append(Outcome(start + len(done), "wrong", 0, ended))
    return Trial(outcomes, peak)


def _in_a_process(first: int, count: int) -> tuple[list[Outcome], int, str]:
    """Outcomes, peak memory, and how the process ended if it did not come to its end."""
    paths = os.pathsep.join(str(Path(__file__).parents[1] / name) for name in ("bundle", "tests"))
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, str(first), str(count)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace")
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.endswith(("]", "}"))]
    outcomes = [Outcome(*line) for line in lines if isinstance(line, list)]
    if done.returncode == 0:
        return outcomes, lines[-1]["peak"], ""
    return outcomes, 0, f"the process ended with {done.returncode}: {done.stderr[-2000:]}"


def try_readers(path: str) -> str:
    """"read" or "refused" by the readers of images; other errors, and what no reader may give, are raised."""
    _count_or_refuse(path)
    outcome = "read"
    for volumes in (False, True):
        try:
            values, _ = ImageFileReader(max_pixels=MAX_PIXELS, volumes=volumes).get_data([path])
        except InputError as error:
            _check_sentence(path, error)
            outcome = "refused"
            continue
        assert values.shape[-1] == 3 and values.size and values.dtype in (np.uint8, np.float32), values.shape
        assert np.isfinite(values).all() and 0 <= values.min() and values.max() <= 255
    for num_classes in (2, 4):
        try:
            ids, _ = MaskFileReader(num_classes, max_pixels=MAX_PIXELS).get_data([path])
        except InputError as error:
            _check_sentence(path, error)
            continue
        assert ids.ndim == 2 and ids.dtype == np.uint8 and ids.max() < num_classes
    assert read_mark(path) is None
    return outcome


def _count_or_refuse(path: str) -> None:
    try:
        with format_of(path).open(path) as file:
            assert all(isinstance(number, int) for number in (file.pages, *file.size)), file
            assert file.pages >= 0
    except InputError as error:
        _check_sentence(path, error)


def _check_sentence(path: str, error: InputError) -> None:
    assert path in str(error), f"{error} does not name the file"
    assert "\n\n" not in str(error) and len(str(error)) < 2000, f"{error} is no sentence"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--keep", type=Path)
    args = parser.parse_args(arguments)
    files = originals()
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MAX_BYTES, used + MAX_BYTES))
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        for seed in range(args.first, args.first + args.count):
            name, content = damaged(seed, files)
            path = folder / name
            path.write_bytes(content)
            signal.setitimer(signal.ITIMER_REAL, MAX_SECONDS)  # ends the process, also within a library
            start, told = time.monotonic(), ""
            try:
                outcome = try_readers(str(path))
            except Exception as error:
                outcome, told = "wrong", "".join(traceback.format_exception(error)[-6:])
            seconds = time.monotonic() - start
            signal.setitimer(signal.ITIMER_REAL, 0)
            print(json.dumps(Outcome(seed, outcome, round(seconds, 4), told)), flush=True)
            if not args.keep:
                path.unlink()
    # not ru_maxrss, in which a process begins with what its parent had
    (peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    print(json.dumps({"peak": int(peak.split()[1]) * 1024}), flush=True)


if __name__ == "__main__":
    main()
