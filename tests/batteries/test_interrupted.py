# SPDX-License-Identifier: Apache-2.0

"""Trainings that are killed, starved of disk, robbed of checkpoints, many times over: ``pytest -m battery``."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from forked import Forked
from trainings import arguments, assert_same_end, checkpoints, kill_one, read_until, started, train

pytestmark = pytest.mark.battery

IN_TIME = 60  # seconds that a job may outlive one of its processes
DISK = 700  # MiB


class Undisturbed:
    """A training that nothing has happened to, and how long it took once it had begun."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder, self.data = folder, data
        process = Forked(arguments(folder, data))
        start = wait_for(lambda: begun(folder), process)
        told, _ = process.communicate()
        self.seconds = time.monotonic() - start
        assert process.returncode == 0, told

    def cut_off(self, folder: Path, number: signal.Signals, when: Callable[[Forked], None]) -> int | None:
        process = Forked(arguments(folder, self.data))
        when(process)
        process.send_signal(number)
        process.communicate()
        return process.returncode

    def go_on(self, folder: Path) -> str:
        """Train again by the same command, to the same end."""
        process = Forked(arguments(folder, self.data))
        told, _ = process.communicate()
        assert process.returncode == 0, told
        assert_same_end(self.folder, folder)
        return told


def wait_for(there: Callable[[], object], process: Forked) -> float:
    while not there() and process.poll() is None:
        time.sleep(0.001)
    return time.monotonic()


@pytest.fixture(scope="module")
def undisturbed(blobs, tmp_path_factory) -> Undisturbed:
    return Undisturbed(tmp_path_factory.mktemp("undisturbed"), blobs)


def begun(folder: Path) -> list[Path]:
    return list(folder.glob("eval/train_*/run.json"))


@pytest.mark.parametrize("seed", range(100))
def test_killed_at_a_random_moment(seed, undisturbed, tmp_path):
    def when(process: Forked) -> None:
        wait_for(lambda: begun(tmp_path), process)
        time.sleep(random.Random(seed).uniform(0, undisturbed.seconds))

    undisturbed.cut_off(tmp_path, signal.SIGKILL, when)
    undisturbed.go_on(tmp_path)


@pytest.mark.parametrize("seed", range(20))
def test_killed_while_it_writes_a_checkpoint(seed, undisturbed, tmp_path):
    def when(process: Forked) -> None:
        chance = random.Random(seed)
        for _ in range(chance.randint(0, 1)):  # the first of them, or the second
            wait_for(lambda: checkpoints(tmp_path), process)
        wait_for(lambda: list(tmp_path.glob("eval/train_*/.*.pt")), process)
        time.sleep(chance.uniform(0, 0.1))

    status = undisturbed.cut_off(tmp_path, signal.SIGKILL, when)
    assert status == -signal.SIGKILL
    undisturbed.go_on(tmp_path)


@pytest.mark.parametrize("seed", range(20))
def test_the_last_checkpoint_is_damaged(seed, undisturbed, tmp_path):
    undisturbed.cut_off(tmp_path, signal.SIGKILL, lambda process: read_until(process, "epoch   3/") and None)
    newest = checkpoints(tmp_path)[-1]
    damage(newest, random.Random(seed))
    assert f"{newest} is not as it was written" in undisturbed.go_on(tmp_path)


def damage(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    kind = chance.choice(["bit", "truncated", "zeros"])
    place = chance.randrange(len(content))
    if kind == "bit":
        content[place] ^= 1 << chance.randrange(8)
    elif kind == "truncated":
        del content[place:]
    else:  # what a crash of the machine may leave
        content[place:] = bytes(len(content) - place)
    path.write_bytes(content)


@pytest.mark.parametrize("seed", range(10))
def test_told_to_end(seed, undisturbed, tmp_path):
    def when(process: Forked) -> None:
        read_until(process, "epoch   1/")
        time.sleep(random.Random(seed).uniform(0, undisturbed.seconds / 4))

    number = random.Random(seed).choice([signal.SIGTERM, signal.SIGTERM, signal.SIGINT])
    assert undisturbed.cut_off(tmp_path, number, when) == 128 + number
    assert len(checkpoints(tmp_path)) > 0
    undisturbed.go_on(tmp_path)


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A disk of 700 MiB, in memory."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() > 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}m", "tmpfs", disk]).returncode:
        pytest.skip("only root can mount a small disk")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("seed", range(10))
def test_the_disk_is_full(seed, undisturbed, small_disk):
    chance = random.Random(seed)
    process = Forked(arguments(small_disk, undisturbed.data))
    wait_for(lambda: begun(small_disk), process)
    time.sleep(chance.uniform(0, undisturbed.seconds / 2))
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    filler = small_disk / "another's"
    with open(filler, "wb") as file, suppress(OSError):  # the training may have taken the last of it meanwhile
        os.posix_fallocate(file.fileno(), 0, max(1, free - chance.randrange(2**27)))  # up to 128 MiB stay free
    told, _ = process.communicate()
    last = told.strip().splitlines()[-1]
    print(f"ended with {process.returncode}: {last}")
    filler.unlink()
    if process.returncode == 0:
        assert_same_end(undisturbed.folder, small_disk)
    else:
        assert process.returncode == 1 and last.startswith("error: ") and "make room" in last, told[-3000:]
        undisturbed.go_on(small_disk)


@pytest.fixture(scope="module")
def undisturbed_two(blobs, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed, two processes")
    train(folder, blobs, "multi_gpu_train", processes=2, max_epochs=6, validation_share=0.3)
    return folder


@pytest.mark.parametrize("seed", range(5))
def test_one_of_two_processes_dies(seed, undisturbed_two, blobs, tmp_path):
    same = {"max_epochs": 6, "validation_share": 0.3}
    with started(arguments(tmp_path, blobs, "multi_gpu_train", **same), processes=2) as job:
        read_until(job, f"epoch   {1 + seed % 4}/")
        time.sleep(random.Random(seed).uniform(0, 0.5))
        seconds, told = kill_one(job)
    assert seconds < IN_TIME and job.returncode == 1
    assert "error: another process of this job has ended" in told
    train(tmp_path, blobs, "multi_gpu_train", processes=2, **same)
    assert_same_end(undisturbed_two, tmp_path)
