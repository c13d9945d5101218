# SPDX-License-Identifier: Apache-2.0

"""Resuming of a training that was cut off: find its run, and lock its folders for one process."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ignite.distributed as idist

from ..checkpoints.model_schema import PUBLISHED
from ..checkpoints.model_settings import settings_of
from ..checkpoints.run_checkpoints import has_checkpoint, newest_checkpoint
from ..common.active_config import calling_parser
from ..common.errors import InputError
from ..common.files import read_json, user_path, write_json
from ..common.knobs import switch
from ..common.limits import INTENSITIES
from ..common.locks import lock_folder
from .fingerprint import FINGERPRINT, differences, is_comparable, is_same

__all__ = ["Unfinished", "begin_run", "finish_run", "find_unfinished", "first_intensities"]

_FILE = "run.json"
_BEGUN = {**FINGERPRINT, "required": ["ckpt_dir"]}
_SCHEMA = {
    "required": ["status", "batch_size"],
    "anyOf": [{"required": ["fingerprint"]}, {"required": ["recipe"]}],
    "properties": {
        "status": {"type": "string"},
        "batch_size": {"type": "integer", "minimum": 1},
        "fingerprint": _BEGUN,
        "recipe": _BEGUN,  # the name of a fingerprint in earlier versions
    },
}
_INTENSITIES = "intensities"
_LOCKS: dict[str, int] = {}  # the model's folder that this process trains into, with the file that locks it

_logger = logging.getLogger("qtseg")


@dataclass(frozen=True)
class Unfinished:
    """A training that was cut off.

    Attributes:
        name: name of the run.
        state: content of the last checkpoint, or None if the run has no checkpoint.
        batch_size: batch size of the run. It is smaller than the knob if the memory was too small.
    """

    name: str
    state: dict[str, Any] | None
    batch_size: int


def find_unfinished(
    output_dir: str, run_prefix: str, fingerprint: Mapping[str, Any], resume: bool
) -> Unfinished | None:
    """Find the training to resume: the last one with the same fingerprint that was cut off.

    If ``ckpt_dir`` exists, this function locks it for this process until the training ends.

    Args:
        output_dir: folder of the runs.
        run_prefix: prefix in the names of the runs. If the user has set ``run_name``, the run of this name is searched
            instead.
        fingerprint: fingerprint of this training, from :py:func:`.fingerprint.fingerprint_of`.
        resume: whether to resume. If False, trainings that were cut off are marked as left, and are never resumed.

    Returns:
        The training to resume, or None to begin a new one.

    Raises:
        InputError: if another training writes into ``ckpt_dir``; if trainings into this folder were cut off and have
            checkpoints, but none has this fingerprint (the message names the differences); or if ``run_name`` is the
            name of a finished training.
    """
    name = _find(output_dir, run_prefix, fingerprint, resume) if idist.get_rank() == 0 else ""
    if idist.get_world_size() > 1:  # only the first process searches, because its lock would stop the others
        name = str(idist.broadcast(name, src=0, safe_mode=True))
    if not name:
        return None
    folder = Path(output_dir) / name
    state = newest_checkpoint(folder)
    if idist.get_rank() == 0:
        done = "its start" if state is None else f"epoch {state['epoch']}, step {state['step']}"
        _logger.info(f"resume:   {name} was cut off; going on from {done} (--resume false begins anew)")
    return Unfinished(name, state, _read(folder / _FILE)["batch_size"])


def first_intensities(
    output_dir: str,
    run_prefix: str,
    ckpt_dir: str,
    resume: bool | str,
    weights: str | os.PathLike[str] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> str:
    """Return the value of the knob ``intensities`` for a training that does not set it. A config names this function.

    Args:
        output_dir: folder of the runs.
        run_prefix: prefix in the names of the runs.
        ckpt_dir: folder of the best model.
        resume: whether to resume a training that was cut off.
        weights: file with the weights that the network or its encoder starts from, or None.
        settings: settings of the model that the training continues, or None.

    Returns:
        The value in the last training into ``ckpt_dir`` that was cut off. Without such a training, the value that the
        weights or the continued model were trained with. For a network without a start, "percentiles".
    """
    paths = _run_files(output_dir, run_prefix) if switch(resume=resume) else []
    cut_off = (
        _fingerprint_in(run)
        for path in reversed(paths)
        if has_checkpoint(path.parent) and (run := _read(path)) is not None and run["status"] == "running"
    )
    same = [previous for previous in cut_off if previous["ckpt_dir"] == os.path.abspath(ckpt_dir)]
    if same:
        return str(same[0].get(_INTENSITIES, PUBLISHED[_INTENSITIES]))
    if weights is not None:
        record = user_path(weights).parent / _FILE  # of a checkpoint in the folder of its run
        of_run = _read(record) if record.is_file() else None
        of_weights = settings_of(weights) if of_run is None else {**PUBLISHED, **_fingerprint_in(of_run)}
        return str(of_weights[_INTENSITIES])
    return str((settings or {}).get(_INTENSITIES, INTENSITIES[0]))


def _find(output_dir: str, run_prefix: str, fingerprint: Mapping[str, Any], resume: bool) -> str:
    """Return the name of the run to resume, or an empty text."""
    if Path(fingerprint["ckpt_dir"]).is_dir():  # else the folder is created when the training begins
        _hold(Path(fingerprint["ckpt_dir"]))
    run_name = _run_name_of_user()
    paths = _run_files(output_dir, run_prefix)
    runs = {path: run for path in paths if (run := _readable(path)) is not None}
    cut_off = {
        path: _fingerprint_in(run)
        for path, run in runs.items()
        if run["status"] == "running" and (run_name or _fingerprint_in(run)["ckpt_dir"] == fingerprint["ckpt_dir"])
    }
    same = [path for path, previous in cut_off.items() if is_same(previous, fingerprint)]
    if resume and same:
        return same[-1].parent.name
    if run_name and runs:
        (path,) = runs
        if resume and path in cut_off:
            raise InputError(_refusal(path.parent, cut_off[path], fingerprint))
        raise InputError(f"run_name {run_name} is that of a training which is there, {path.parent}; give another name")
    with_checkpoint = [path for path in cut_off if has_checkpoint(path.parent)]
    if resume and with_checkpoint:
        last = with_checkpoint[-1]
        raise InputError(_refusal(last.parent, cut_off[last], fingerprint))
    for path in cut_off:
        write_json(path, {**runs[path], "status": "left"})
    return ""


def _run_files(output_dir: str, run_prefix: str) -> list[Path]:
    """Return the records of the runs that this training can resume, the oldest first."""
    run_name = _run_name_of_user()
    pattern = f"{glob.escape(run_prefix)}_*" if run_name is None else glob.escape(run_name)
    return sorted(Path(output_dir).glob(f"{pattern}/{_FILE}"), key=lambda path: path.stat().st_mtime_ns)


def _run_name_of_user() -> str | None:
    """Return the knob ``run_name`` if the user has set it. By default it depends on the unfinished run."""
    text = str(calling_parser().get("run_name"))
    return None if "@unfinished" in text else str(calling_parser().get_parsed_content("run_name"))


def _read(path: Path) -> dict[str, Any]:
    """Return the record of a run."""
    return read_json(path, cure="a training cannot go on without it", schema=_SCHEMA)


def _readable(path: Path) -> dict[str, Any] | None:
    """Return the record of a run, or None if its file is damaged."""
    try:
        return _read(path)
    except InputError as error:
        _logger.warning(f"{path.parent} is passed over: {error}")
        return None


def _fingerprint_in(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fingerprint in the record of a run. Earlier versions of the bundle called it a recipe."""
    fingerprint: dict[str, Any] = run["fingerprint"] if "fingerprint" in run else run["recipe"]
    return fingerprint


def begin_run(folder: str, fingerprint: Mapping[str, Any], batch_size: int) -> None:
    """Record in the folder of a run that its training is running. Only the first process does.

    Args:
        folder: folder of the run.
        fingerprint: fingerprint of this training, from :py:func:`.fingerprint.fingerprint_of`.
        batch_size: batch size that the memory allows.

    Raises:
        InputError: if another training writes into ``ckpt_dir``.
    """
    if idist.get_rank() > 0:
        return
    _hold(Path(fingerprint["ckpt_dir"]))
    for partial in Path(folder).glob(".*.pt"):  # a checkpoint that was being written when the training was cut off
        partial.unlink()
    write_json(Path(folder) / _FILE, {"status": "running", "fingerprint": dict(fingerprint), "batch_size": batch_size})


def finish_run(folder: str) -> None:
    """Record in the folder of a run that its training is finished and cannot be resumed. Only the first process does.

    Args:
        folder: folder of the run.
    """
    if idist.get_rank() == 0:
        path = Path(folder) / _FILE
        write_json(path, {**_read(path), "status": "finished"})
        _let_go()


def _hold(ckpt_dir: Path) -> None:
    """Lock the folder of a model for this process.

    The lock ends when the training is finished, when the process begins a training into another folder, or when the
    process ends.
    """
    key = os.path.realpath(ckpt_dir)
    if key in _LOCKS:
        return
    _let_go()
    in_use = f"another training is writing into {ckpt_dir}; wait for it, stop it, or give another --ckpt_dir"
    _LOCKS[key] = lock_folder(ckpt_dir, in_use)


def _let_go() -> None:
    while _LOCKS:
        os.close(_LOCKS.popitem()[1])


def _refusal(folder: Path, previous: Mapping[str, Any], current: Mapping[str, Any]) -> str:
    """Return the message that this training cannot resume the one in a folder, with the reason and the cure."""
    if not is_comparable(previous, current):
        return (
            f"{folder} was cut off by an earlier version of the bundle and cannot go on; set --resume false to leave "
            "it and begin anew, or finish it with the version that began it"
        )
    return (
        f"{folder} was cut off, and this training is another: {differences(previous, current)}. Set it as it was to go "
        "on with that one, or set --resume false to leave it and begin anew"
    )
