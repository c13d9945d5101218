# SPDX-License-Identifier: Apache-2.0

"""Go on with a training that was cut off: find it, and keep its folders for one process."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ignite.distributed as idist

from ..checkpoints.run_checkpoints import has_checkpoint, newest_checkpoint
from ..common.active_config import calling_parser
from ..common.errors import InputError
from ..common.files import read_json, write_json
from ..common.locks import lock_folder
from .fingerprint import differences, is_comparable

__all__ = ["Unfinished", "begin_run", "finish_run", "find_unfinished"]

_FILE = "run.json"
_HELD: dict[str, int] = {}  # the model's folder that this process trains into, and what locks it

_logger = logging.getLogger("qtseg")


@dataclass(frozen=True)
class Unfinished:
    """A training that was cut off.

    Attributes:
        name: of the run.
        state: of its last checkpoint; None if it has none.
        batch_size: that it was begun with, which memory may have made smaller than asked.
    """

    name: str
    state: dict[str, Any] | None
    batch_size: int


def find_unfinished(
    output_dir: str, run_prefix: str, fingerprint: Mapping[str, Any], resume: bool
) -> Unfinished | None:
    """The training to go on with: the last of the same fingerprint that was cut off.

    From here on this process has ``ckpt_dir``, if it is there, for itself, until the training ends.

    Args:
        output_dir: folder of the runs.
        run_prefix: what their names begin with; a ``run_name`` that was given is looked for instead.
        fingerprint: of :py:func:`.fingerprint.fingerprint_of`.
        resume: False leaves those that were cut off aside, from then on.

    Raises:
        InputError: if another training is at ``ckpt_dir``; if trainings into it were cut off and have checkpoints, but
            none has this fingerprint: it names what differs; if the name that was given is that of a training which is
            finished.
    """
    found = _find(output_dir, run_prefix, fingerprint, resume) if idist.get_rank() == 0 else ""
    if idist.get_world_size() > 1:  # the others would meet the lock of the first
        found = str(idist.broadcast(found, src=0, safe_mode=True))
    if not found:
        return None
    folder = Path(output_dir) / found
    state = newest_checkpoint(folder)
    if idist.get_rank() == 0:
        done = "its start" if state is None else f"epoch {state['epoch']}, step {state['step']}"
        _logger.info(f"resume:   {found} was cut off; going on from {done} (--resume false begins anew)")
    return Unfinished(found, state, read_json(folder / _FILE)["batch_size"])


def _find(output_dir: str, run_prefix: str, fingerprint: Mapping[str, Any], resume: bool) -> str:
    """Name of the run, or ""."""
    if Path(fingerprint["ckpt_dir"]).is_dir():  # else it is made when the training begins
        _hold(Path(fingerprint["ckpt_dir"]))
    given = _given_name()
    pattern = f"{glob.escape(run_prefix)}_*" if given is None else glob.escape(given)
    paths = sorted(Path(output_dir).glob(f"{pattern}/{_FILE}"), key=lambda path: path.stat().st_mtime_ns)
    runs = {path: run for path in paths if (run := _read(path)) is not None}
    cut_off = {
        path: _fingerprint_in(run)
        for path, run in runs.items()
        if run["status"] == "running" and (given or _fingerprint_in(run)["ckpt_dir"] == fingerprint["ckpt_dir"])
    }
    same = [path for path, begun in cut_off.items() if begun == fingerprint]
    if resume and same:
        return same[-1].parent.name
    if given and runs:
        (path,) = runs
        if resume and path in cut_off:
            raise InputError(_is_another(path.parent, cut_off[path], fingerprint))
        raise InputError(f"run_name {given} is that of a training which is there, {path.parent}; give another name")
    would_be_lost = [path for path in cut_off if has_checkpoint(path.parent)]
    if resume and would_be_lost:
        last = would_be_lost[-1]
        raise InputError(_is_another(last.parent, cut_off[last], fingerprint))
    for path in cut_off:
        write_json(path, {**runs[path], "status": "left"})
    return ""


def _given_name() -> str | None:
    """The name of the run, if it was given, and does not follow from what is found."""
    raw = str(calling_parser().get("run_name"))
    return None if "@unfinished" in raw else str(calling_parser().get_parsed_content("run_name"))


def _read(path: Path) -> dict[str, Any] | None:
    """What is known of a run; None if its file is damaged."""
    try:
        run = read_json(path)
    except InputError as error:
        _logger.warning(f"{path.parent} is passed over: {error}")
        return None
    is_whole = run.keys() >= {"status", "batch_size"} and "ckpt_dir" in _fingerprint_in(run)
    return run if is_whole else None


def _fingerprint_in(run: Mapping[str, Any]) -> dict[str, Any]:
    """The fingerprint of a run. Earlier versions of the bundle called it a recipe."""
    fingerprint = run.get("fingerprint", run.get("recipe"))
    return fingerprint if isinstance(fingerprint, dict) else {}


def begin_run(folder: str, fingerprint: Mapping[str, Any], batch_size: int) -> None:
    """Note in a run's folder that a training is at it, until it is finished or cut off. The first process does.

    Args:
        folder: of the run.
        fingerprint: of :py:func:`.fingerprint.fingerprint_of`.
        batch_size: as memory allows it.

    Raises:
        InputError: if another training is at ``ckpt_dir``.
    """
    if idist.get_rank() > 0:
        return
    _hold(Path(fingerprint["ckpt_dir"]))
    for partial in Path(folder).glob(".*.pt"):  # of a checkpoint that was being written when the training was cut off
        partial.unlink()
    write_json(Path(folder) / _FILE, {"status": "running", "fingerprint": dict(fingerprint), "batch_size": batch_size})


def finish_run(folder: str) -> None:
    """Note that a training is finished, and will never be continued.

    Args:
        folder: of the run.
    """
    if idist.get_rank() == 0:
        path = Path(folder) / _FILE
        write_json(path, {**read_json(path), "status": "finished"})
        _let_go()


def _hold(ckpt_dir: Path) -> None:
    """Keep a folder of a model for this process, until its training is finished or begins another, or it ends."""
    key = os.path.realpath(ckpt_dir)
    if key in _HELD:
        return
    _let_go()
    in_use = f"another training is writing into {ckpt_dir}; wait for it, stop it, or give another --ckpt_dir"
    _HELD[key] = lock_folder(ckpt_dir, in_use)


def _let_go() -> None:
    while _HELD:
        os.close(_HELD.popitem()[1])


def _is_another(folder: Path, begun: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    if not is_comparable(begun, now):
        return (
            f"{folder} was cut off by an earlier version of the bundle and cannot go on; set --resume false to leave "
            "it and begin anew, or finish it with the version that began it"
        )
    return (
        f"{folder} was cut off, and this training is another: {differences(begun, now)}. Set it as it was to go on "
        "with that one, or set --resume false to leave it and begin anew"
    )
