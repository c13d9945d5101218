# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.common import partial_files
from scripts.common.partial_files import partial_file
from workflows import BUNDLE

WRITER = """
import sys
from scripts.common.files import replacing
with replacing(sys.argv[1]) as partial:
    partial.write_text("a part")
    print("writing", flush=True)
    input()
    partial.write_text("whole")
"""


@pytest.fixture(autouse=True)
def as_in_a_new_process(monkeypatch):
    monkeypatch.setattr(partial_files, "_cleared", set())


def writer(path: Path) -> subprocess.Popen[str]:
    """A process that is writing a file until it gets a line."""
    command = [sys.executable, "-c", WRITER, str(path)]
    process = subprocess.Popen(command, cwd=BUNDLE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "writing\n"
    return process


def test_what_a_killed_process_left_goes_and_what_is_being_written_stays(tmp_path, monkeypatch):
    killed, alive = writer(tmp_path / "a.png"), writer(tmp_path / "b.png")
    with killed, alive:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        (tmp_path / ".2018.png").write_text("of the user")
        (tmp_path / ".qtseg-notes.png").write_text("of the user")
        assert len(list(tmp_path.iterdir())) == 4
        with partial_file(tmp_path, ".png"):
            assert len(list(tmp_path.iterdir())) == 4  # one has gone, and one is new
        alive.communicate("\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".2018.png", ".qtseg-notes.png", "b.png"]
    assert (tmp_path / "b.png").read_text() == "whole"


def test_two_processes_of_one_number_write_the_same_file_at_the_same_time(tmp_path):
    with partial_file(tmp_path, ".png") as first, partial_file(tmp_path, ".png") as second:
        assert first != second and len(first.name) == len(".qtseg-0123456789ab.png")
        first.write_text("first")
        second.write_text("second")
        second.replace(tmp_path / "a.png")
        first.replace(tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"] and (tmp_path / "a.png").read_text() == "first"


def test_others_may_read_the_file_as_far_as_the_user_allows(tmp_path):
    mask = os.umask(0o027)
    try:
        with partial_file(tmp_path) as partial:
            assert partial.stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(mask)


def test_without_locks_nothing_is_taken_for_abandoned(tmp_path, monkeypatch):
    def no_locks(descriptor, operation):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(partial_files.fcntl, "flock", no_locks)
    (tmp_path / ".qtseg-0123456789ab.png").write_text("of a process elsewhere, maybe")
    with partial_file(tmp_path / "new" / "folder", ".png") as partial:
        assert partial.is_file()
    with partial_file(tmp_path, ".png"):
        pass
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [".qtseg-0123456789ab.png"]
