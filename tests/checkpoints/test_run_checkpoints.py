# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch

from scripts.checkpoints.run_checkpoints import has_checkpoint, newest_checkpoint, write_checkpoint
from scripts.common.files import file_digest


def test_damaged_checkpoints_are_noticed(tmp_path, caplog):
    for step in (1, 2, 3):
        write_checkpoint(tmp_path, {"weight": torch.full((4,), float(step))}, epoch=step, step=step)
    older, newest = sorted(tmp_path.glob("checkpoint_*.pt"))  # two stay
    whole = newest.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:600] + bytes([whole[600] ^ 1]) + whole[601:], b""):
        newest.write_bytes(content)
        assert torch.equal(newest_checkpoint(tmp_path)["weight"], torch.full((4,), 2.0))
        assert f"{newest} is not as it was written (truncated, or altered); the checkpoint before" in caplog.text
        caplog.clear()
    older.unlink()
    assert newest_checkpoint(tmp_path) is None
    for step in (1, 2):  # from the start again: what was just written is never what goes
        path = write_checkpoint(tmp_path, {"step": step}, epoch=step, step=step)
        assert path.is_file() and newest_checkpoint(tmp_path) == {"step": step}
    assert not newest.exists()


def test_a_checkpoint_that_cannot_be_written_costs_none_before(tmp_path, monkeypatch):
    write_checkpoint(tmp_path, {"step": 1}, epoch=1, step=1)

    def full(content, file):
        file.write(b"some of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left"):
        write_checkpoint(tmp_path, {"step": 2}, epoch=2, step=2)
    assert list(tmp_path.iterdir()) == list(tmp_path.glob("checkpoint_epoch=1_*.pt"))
    assert newest_checkpoint(tmp_path) == {"step": 1}


def test_the_last_two_checkpoints_are_kept_and_named_by_what_is_done(tmp_path):
    assert not has_checkpoint(tmp_path) and newest_checkpoint(tmp_path) is None
    paths = [write_checkpoint(tmp_path, {"step": step}, epoch=step // 8, step=step) for step in (4, 12, 20)]
    assert sorted(tmp_path.iterdir()) == sorted(paths[1:])
    assert [path.name.rsplit("_", 1)[0] for path in paths] == [
        f"checkpoint_epoch={epoch}_step={step}" for epoch, step in ((0, 4), (1, 12), (2, 20))
    ]
    assert all(file_digest(path).startswith(path.stem.rsplit("_", 1)[1]) for path in paths[1:])
    for path in paths[1:]:
        path.write_bytes(b"")
    assert has_checkpoint(tmp_path)  # a damaged one is one, too
