# SPDX-License-Identifier: Apache-2.0

"""Weights from anywhere: tensors are loaded, and nothing else happens."""

from __future__ import annotations

import io
import os
import pickle
import random
import tarfile
import warnings
import zipfile
from pathlib import Path

import pytest
import torch

from damage import flip_bits, remove, repeat, set_number, splice, truncate
from scripts.checkpoints.__main__ import main
from scripts.checkpoints.loading import load_trained, start_from
from scripts.checkpoints.state_dicts import load_encoder, load_weights, read_weights
from scripts.common.errors import InputError
from scripts.networks.qtseg import QTSeg

WEIGHTS = {"encoder.a": torch.arange(21.0).reshape(7, 3), "decoder.tokens": torch.ones(2, 5)}


class Code:
    """Runs when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


CODE = [Code(os.mkdir, "owned"), Code(eval, "__import__('os').mkdir('owned')"), Code(getattr, "a", "upper")]
CODE += [Code(torch.load, "other.pt"), Code(bytearray, 2**50)]


def with_code(path: Path, code: Code, form: str) -> None:
    if form == "pickle":
        path.write_bytes(pickle.dumps({"encoder.a": code}, protocol=2))
    else:
        torch.save({**WEIGHTS, "encoder.b": code}, path, _use_new_zipfile_serialization=form == "new")


@pytest.mark.parametrize("form", ["pickle", "old", "new"])
@pytest.mark.parametrize("code", CODE, ids=["mkdir", "eval", "getattr", "load", "bytearray"])
def test_no_way_of_loading_runs_code(code, form, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.pt"
    with_code(path, code, form)
    network = QTSeg(3, 2, features=8)
    for load in (
        lambda: read_weights(path),
        lambda: load_weights(network, path),
        lambda: load_encoder(network, path),
        lambda: load_trained(network, path),
        lambda: start_from(network, weights=path),
        lambda: start_from(network, encoder_weights=path),
    ):
        with pytest.raises(InputError, match="model.pt (cannot be read as weights|holds )"):
            load()
    assert main([str(path), str(tmp_path / "converted.pt")]) == 1
    assert "Traceback" not in capsys.readouterr().err
    assert sorted(os.listdir(tmp_path)) == ["model.pt"]


def packed_again(path: Path) -> None:
    """The same entries, compressed, and one that unpacks to a gigabyte."""
    torch.save(WEIGHTS, path)
    with zipfile.ZipFile(path) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for name, content in entries.items():
            if name.endswith("data/0"):
                with file.open(name, "w") as large:
                    for _ in range(1024):
                        large.write(bytes(2**20))
            else:
                file.writestr(name, content)


def tar(path: Path) -> None:
    with tarfile.open(path, "w") as file:
        for name in ("storages", "tensors", "pickle", "sys_info"):  # as PyTorch 0.1 had it
            content = pickle.dumps(Code(os.mkdir, "owned"), protocol=2)
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            file.addfile(entry, io.BytesIO(content))


def overlapping(path: Path) -> None:
    torch.save({"encoder.a": torch.zeros(1000)}, path)
    with zipfile.ZipFile(path) as file:
        record = next(entry for entry in file.infolist() if entry.filename.endswith("data/0"))
    content = path.read_bytes()
    size = (4000).to_bytes(4, "little") * 2
    assert content.count(size) and record.file_size == 4000
    path.write_bytes(content.replace(size, (2**31 - 1).to_bytes(4, "little") * 2))


def script(path: Path) -> None:
    module = torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2))
    torch.jit.save(module, path)


def wide(path: Path) -> None:
    torch.save({**WEIGHTS, "encoder.b": torch.zeros(1).expand(2**40)}, path)


@pytest.mark.parametrize("make, message", [
    (packed_again, "cannot be read as weights"), (tar, "cannot be read as weights"),
    (overlapping, "cannot be read as weights"), (script, "cannot be read as weights"),
    (lambda path: path.write_text("<html>"), "cannot be read as weights"),
    (lambda path: path.write_bytes(b"\x80\x02" + b"(" * 100_000), "cannot be read as weights"),
    (wide, "bytes, but names tensors of 4398046511"),
    (lambda path: torch.save({"encoder.a": torch.eye(3).to_sparse()}, path),
     "holds encoder.a, which is no plain tensor; s"),
    (lambda path: torch.save({"encoder.a": torch.zeros(3, dtype=torch.complex64)}, path),
     "encoder.a, which is no plain"),
    (lambda path: torch.save({"encoder.a": torch.zeros(3, device="meta")}, path),
     "encoder.a, which is no plain tensor"),
    (lambda path: torch.save({**WEIGHTS, "encoder.a": torch.tensor([1, torch.nan])}, path), "'encoder.a' with values"),
    (lambda path: torch.save({**WEIGHTS, "encoder.a": torch.tensor([-torch.inf])}, path), "NaN or infinite; use an e"),
    (lambda path: path.mkdir(), "is no file"), (lambda path: os.mkfifo(path), "is no file"),
    (lambda path: path.symlink_to("/dev/zero"), "is no file"), (lambda path: path.symlink_to(path), "is no file"),
])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*sparse.*:UserWarning")
def test_files_that_are_no_weights_are_refused(make, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "model.pt")
    with pytest.raises(InputError, match=f"model.pt .*{message}"):
        read_weights(tmp_path / "model.pt")
    assert os.listdir(tmp_path) == ["model.pt"]


@pytest.mark.parametrize("form", ["old", "new"])
def test_damaged_files_are_read_or_refused(form, tmp_path):
    path = tmp_path / "model.pt"
    torch.save(WEIGHTS, path, _use_new_zipfile_serialization=form == "new")
    sound = path.read_bytes()
    assert read_weights(path).keys() == WEIGHTS.keys()
    outcomes = set()
    for seed in range(300):
        random_ = random.Random(seed)
        damage = random_.choice((flip_bits, truncate, remove, splice, repeat, set_number))
        path.write_bytes(damage(random_, sound, {"a": sound}))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of PyTorch, about versions of pickle
            try:
                read_weights(path)
                outcomes.add("read")
            except InputError:
                outcomes.add("refused")
            except Exception as error:
                pytest.fail(f"seed {seed}: {error!r}")
    assert outcomes == {"read", "refused"}
