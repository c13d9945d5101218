# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import shutil
from collections import namedtuple

import ignite.distributed as idist
import pytest
from torch import nn

from scripts.common.disk_space import check_space, check_writable
from scripts.common.errors import InputError
from workflows import causes, run, train_small


def test_without_space_nothing_begins(tmp_path, monkeypatch):
    check_space(nn.Linear(2, 2), output_dir=str(tmp_path / "a"), ckpt_dir=str(tmp_path / "b"))
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(2**30, 2**30 - 2**20, 2**20))
    with pytest.raises(InputError, match="output_dir .* has 1 MiB free, and a training needs 64; make room, or"):
        check_space(nn.Linear(2, 2), output_dir=str(tmp_path))


@pytest.mark.parametrize("names, knob", [
    (("train", "check"), "output_dir"), (("train", "evaluate"), "output_dir"), (("train", "evaluate"), "scores_dir"),
    (("inference",), "output_dir"),
])
def test_a_folder_that_cannot_be_written_to_is_one_sentence(names, knob, trained, blobs, tmp_path):
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "x"
    places = {"dataset_dir": str(blobs), "ckpt_dir": str(trained.ckpt_dir), "output_dir": str(tmp_path / "out")}
    with pytest.raises(RuntimeError) as failure:
        run(*names, **{**places, knob: str(folder)})
    (error,) = {str(each) for each in causes(failure.value) if isinstance(each, InputError)}
    assert error == f"{knob} {folder} cannot be written to (Not a directory); give another"


def test_a_folder_that_cannot_be_written_to_is_told_before_the_training(blobs, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RuntimeError) as failure:
        train_small(tmp_path / "file", blobs)
    (error,) = {str(each) for each in causes(failure.value) if isinstance(each, InputError)}
    assert "output_dir" in error and "cannot be written to (Not a directory); give another" in error


def test_space_is_counted_for_three_checkpoints_and_two_models(tmp_path, monkeypatch):
    network = nn.Linear(2**20, 8, bias=False)  # 32 MiB: eleven times that, and 64 MiB for the rest
    usage = namedtuple("usage", "total used free")
    free = [(11 * 32 + 64) * 2**20]
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(2**40, 0, free[0]))
    check_space(network, output_dir=str(tmp_path))
    free[0] -= 1
    with pytest.raises(InputError, match="has 416 MiB free, and a training needs 416; make room, or give another"):
        check_space(network, output_dir=str(tmp_path))


def test_of_a_folder_that_is_missing_the_one_that_it_will_be_made_in_counts(tmp_path, monkeypatch):
    asked = []
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: asked.append(folder) or usage(2**40, 0, 2**40))
    check_space(nn.Linear(1, 1), output_dir=str(tmp_path / "a" / "b"), ckpt_dir=str(tmp_path))
    assert asked == [tmp_path, tmp_path] and list(tmp_path.iterdir()) == []


def test_only_the_first_process_looks(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(idist, "get_rank", lambda: 1)
    check_writable(output_dir=str(tmp_path / "file" / "x"))
    monkeypatch.setattr(idist, "get_rank", lambda: 0)
    with pytest.raises(InputError, match="output_dir .*file/x cannot be written to .Not a directory.; give another"):
        check_writable(output_dir=str(tmp_path / "file" / "x"))
