# Copyright (c) QTSeg bundle contributors
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""Go on with a training that was cut off: find it, and make sure that it is the same."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ignite.distributed as idist

from .caller import calling_parser
from .checkpoint_files import newest_checkpoint
from .errors import InputError
from .folds import Split
from .survey import Facts
from .whole_files import read_json, write_json

__all__ = ["Unfinished", "begin_run", "finish_run", "find_unfinished", "recipe_of"]

_FILE = "run.json"
_SHOWN = 3  # differences in a message
_HELD: dict[str, int] = {}  # the run of this process, and what locks it

# Top-level names of the config that change where and how quickly a training runs and what it is called, not its result.
_WITHOUT_EFFECT = {
    "_meta_", "imports", "bundle_root",
    "dataset_dir", "output_dir", "num_workers", "cache_rate", "save_interval", "device",
    "tracking_uri", "experiment_name", "artifact_location", "run_prefix", "run_name", "parent_run", "run_dir", "resume",
    "unfinished", "executed_config", "save_execute_config", "is_not_rank0", "initialize", "finalize", "run", "training",
    "hyperparameters", "settings", "train#handlers", "train#dataset", "validate#handlers", "validate#dataset",
}  # fmt: skip

_logger = logging.getLogger("qtseg")


@dataclass(frozen=True)
class Unfinished:
    """A training that was cut off.

    Attributes:
        name: of the run.
        state: of its last checkpoint; None if it has none.
    """

    name: str
    state: dict[str, Any] | None


def recipe_of(
    hyperparameters: Mapping[str, Any], split: Split, facts: Sequence[Facts], ckpt_dir: str
) -> dict[str, Any]:
    """What the result of a training depends on. To be named in a config.

    Args:
        hyperparameters: names and resolved values of the knobs.
        split: of the images.
        facts: of the images, from :py:func:`.survey.survey_images`.
        ckpt_dir: folder of the best model.

    Returns:
        Values that JSON can hold: of the knobs, and of all else in the config that has an effect, by their ids; a
        digest of all images and labels; the number of processes.

    Raises:
        RuntimeError: if not called by a config.
    """
    content = sorted((name, facts_.digest) for name, facts_ in zip(split.images, facts))
    recipe = {name: value for name, value in hyperparameters.items() if name not in _WITHOUT_EFFECT}
    recipe |= dict(_leaves(calling_parser().get(), set(hyperparameters)))
    recipe["images"] = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
    recipe["processes"] = idist.get_world_size()
    recipe["ckpt_dir"] = os.path.abspath(ckpt_dir)
    return json.loads(json.dumps(recipe, default=lambda value: type(value).__name__))


def _leaves(config: Any, knobs: set[str], place: str = "") -> Iterator[tuple[str, Any]]:
    """Ids and values of a config, but those that are knobs or without effect."""
    if place in _WITHOUT_EFFECT or place in knobs or place.split("#")[-1] == "_desc_":
        return
    if isinstance(config, Mapping | list) and config:
        for name, value in config.items() if isinstance(config, Mapping) else enumerate(config):
            yield from _leaves(value, knobs, f"{place}#{name}" if place else str(name))
    else:
        yield place, config


def find_unfinished(
    output_dir: str, run_prefix: str, recipe: Mapping[str, Any], resume: bool
) -> Unfinished | None:
    """The training to go on with: the last of the same recipe that was cut off, and that no process is at.

    Args:
        output_dir: folder of the runs.
        run_prefix: what their names begin with.
        recipe: of :py:func:`recipe_of`.
        resume: False leaves all that were cut off aside, from then on.

    Raises:
        InputError: if trainings were cut off, but none of this recipe; it names what differs.
    """
    name = _find(output_dir, run_prefix, recipe, resume) if idist.get_rank() == 0 else ""
    if idist.get_world_size() > 1:  # the others would meet the lock of the first
        name = str(idist.broadcast(name, src=0, safe_mode=True))
    if not name:
        return None
    state = newest_checkpoint(Path(output_dir) / name)
    if idist.get_rank() == 0:
        done = "its start" if state is None else f"epoch {state['epoch']}, step {state['step']}"
        _logger.info(f"resume:   {name} was cut off; going on from {done} (--resume false begins anew)")
    return Unfinished(name, state)


def _find(output_dir: str, run_prefix: str, recipe: Mapping[str, Any], resume: bool) -> str:
    """Name of the run, or ""."""
    runs = sorted(Path(output_dir).glob(f"{run_prefix}_*/{_FILE}"), key=lambda path: path.stat().st_mtime_ns)
    cut_off = [path for path in runs if read_json(path)["status"] == "running" and not _in_use(path.parent)]
    if not resume:
        for path in cut_off:
            write_json(path, {**read_json(path), "status": "left"})
        return ""
    for path in reversed(cut_off):
        if read_json(path)["recipe"] == recipe:
            return path.parent.name
    if cut_off:
        raise InputError(_differences(cut_off[-1].parent, read_json(cut_off[-1])["recipe"], recipe))
    return ""


def begin_run(folder: str, recipe: Mapping[str, Any]) -> None:
    """Note in a run's folder that a training is at it, until it is finished or cut off. The first process does.

    Args:
        folder: of the run.
        recipe: of :py:func:`recipe_of`.
    """
    if idist.get_rank() > 0:
        return
    _hold(Path(folder))
    write_json(Path(folder) / _FILE, {"status": "running", "recipe": dict(recipe)})


def finish_run(folder: str) -> None:
    """Note that a training is finished, and will never be continued.

    Args:
        folder: of the run.
    """
    if idist.get_rank() == 0:
        path = Path(folder) / _FILE
        write_json(path, {**read_json(path), "status": "finished"})
        _let_go()


def _hold(folder: Path) -> None:
    """Lock a run until it is finished, or this process ends or begins another."""
    _let_go()
    lock = os.open(folder / ".lock", os.O_WRONLY | os.O_CREAT)
    _HELD[os.path.realpath(folder)] = lock
    with suppress(OSError):  # a file system without locks; then two trainings of one recipe must not run at once
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _let_go() -> None:
    while _HELD:
        os.close(_HELD.popitem()[1])


def _in_use(folder: Path) -> bool:
    """Whether another process is at a run."""
    if os.path.realpath(folder) in _HELD:
        return False
    try:
        with open(folder / ".lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return False
    except BlockingIOError:
        return True
    except OSError:  # no lock, or a file system without
        return False


def _differences(folder: Path, begun: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    names = [name for name in {**begun, **now} if begun.get(name) != now.get(name)]
    shown = "; ".join(f"{name} was {_short(begun.get(name))} and is {_short(now.get(name))}" for name in names[:_SHOWN])
    more = f"; and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (
        f"{folder} was cut off, and this training is another: {shown}{more}. Set it as it was to go on with that one, "
        "or set --resume false to leave it and begin anew"
    )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
