# SPDX-License-Identifier: Apache-2.0

"""Train and score several models in one folder, in processes of their own. Interrupted runs are resumed."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from monai.bundle import ConfigParser

from ..common.command_line import config_files_of, config_of
from ..common.errors import InputError
from ..common.files import read_json, write_json
from ..common.knobs import check_knobs
from ..common.locks import lock_folder
from ..data.splits.files import write_split
from ..data.splits.split import Split

__all__ = ["ScoredRuns"]

_SPLIT = {"required": ["digest"], "properties": {"digest": {"type": "string"}}}
_HOURS = {"required": ["hours"], "properties": {"hours": {"type": "number", "minimum": 0}}}


class ScoredRuns:
    """A folder of runs, which train and score one model each.

    A run has a name, and its model is in the folder of that name, with its scores in ``evaluation/`` inside it.
    ``split.json`` is the split that all runs use. The folder works only with the split and the settings that it was
    started with.

    Args:
        folder: the folder of all runs; it is created if it does not exist.
        config_file: config file of the trainings, or a list of them, as for ``monai.bundle run``.
        knobs: names and values of the knobs that all runs share, as on the command line of ``monai.bundle run``.
        settings_name: name of the file in the folder that saves these settings.
    """

    def __init__(self, folder: Path, config_file: str, knobs: Mapping[str, str], settings_name: str) -> None:
        self.folder = folder
        self.config_files = config_files_of(config_file)
        self.knobs = dict(knobs)
        self.split_file = folder / "split.json"
        self._settings = {"config_file": config_file, **{k: value for k, value in knobs.items() if k != "resume"}}
        self._settings_file = folder / settings_name
        self._running: set[subprocess.Popen] = set()
        self._stop_signal = 0  # the signal that asked this process to stop; 0 if there was none

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder for this process and its runs, and check that it was started with the same settings.

        Meanwhile, a SIGTERM to this process is passed on to the runs, which save their state before they end. They do
        the same after Ctrl-C.

        Raises:
            InputError: if another process has locked the folder, or the settings differ.
        """
        in_use = f"{self.folder} is in use by another such command; wait for it or stop it"
        self._lock = lock_folder(self.folder, in_use)
        try:
            os.set_inheritable(self._lock, True)  # so a run that outlives this process keeps the lock
            self._check_settings()
            handlers = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
            try:
                yield
            finally:
                for number, handler in handlers.items():
                    signal.signal(number, handler)
        finally:
            os.close(self._lock)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stop_signal = number
        if number == signal.SIGTERM:  # the terminal sends Ctrl-C to the runs, too
            for process in list(self._running):  # a copy, as other threads start runs meanwhile
                process.terminate()

    def stop_if_asked(self) -> None:
        """End this process if it received a signal to stop, because results from here on would be incomplete."""
        if self._stop_signal:
            raise SystemExit(128 + self._stop_signal)

    def _check_settings(self) -> None:
        if self._settings_file.is_file():
            previous = read_json(self._settings_file)
            for name in sorted(previous | self._settings):
                if previous.get(name) != self._settings.get(name):
                    raise InputError(
                        f"{self.folder} was begun with {name} {previous.get(name)}, now it is "
                        f"{self._settings.get(name)}; set it as it was to go on, or give another --output_dir"
                    )

    def config(self, overlays: Sequence[str] = ()) -> ConfigParser:
        """Return the config of a training in this folder.

        Args:
            overlays: config files that are read after those that all runs share.
        """
        folder = str(self.folder)
        knobs = {**_training_knobs(self.knobs), "output_dir": folder, "run_dir": folder}
        return config_of([*self.config_files, *overlays], knobs)

    def of_evaluation(self) -> dict[str, Any]:
        """Check the knobs that evaluations have and trainings do not have, and return their values by name.

        Raises:
            InputError: if a knob has a value that it cannot have.
        """
        config = config_of([*self.config_files, self._evaluate], self.knobs)
        values = {name: config.get_parsed_content(name) for name in _EVALUATION_ONLY if name in self.knobs}
        check_knobs(values)
        return values

    @property
    def _evaluate(self) -> str:
        return str(Path(self.config_files[0]).parent / "evaluate.json")

    def remember(self, split: Split, folds: Iterable[int]) -> None:
        """Save the settings and the split in the folder, which then works with no others.

        Call it after the settings were checked, so that a mistake in them does not stay in the folder.

        Args:
            split: the split that all trainings use.
            folds: numbers of the folds that are to be scored.

        Raises:
            InputError: if the folder was started with another split, or a fold holds out no image to score.
        """
        if self.split_file.is_file() and read_json(self.split_file, schema=_SPLIT)["digest"] != split.digest:
            raise InputError(f"{self.folder} was begun with other images or groups; give another --output_dir")
        for fold in folds:
            if not split.folds[fold].test:
                raise InputError(f"fold {fold} of the split holds no image out to score; set another --split")
        write_json(self._settings_file, self._settings)
        write_split(split, self.split_file)

    def model_dir(self, name: str) -> Path:
        """Return the folder of the model of a run."""
        return self.folder / name

    def scores_dir(self, name: str) -> Path:
        """Return the folder of the scores of a run."""
        return self.model_dir(name) / "evaluation"

    def has_scores(self, name: str) -> bool:
        """Return whether a run is complete, that is, trained and scored."""
        return (self.model_dir(name) / "done").is_file()

    def hours(self, name: str) -> float:
        """Return the hours that the processes of a run have taken so far; 0 if none has ended yet.

        Processes that failed or were stopped are counted; those that were running when this process was killed are not.
        """
        path = self.model_dir(name) / "hours.json"
        return float(read_json(path, cure="remove it", schema=_HOURS)["hours"]) if path.is_file() else 0.0

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        previous, start = self.hours(name), time.monotonic()
        try:
            yield
        finally:
            write_json(self.model_dir(name) / "hours.json", {"hours": previous + (time.monotonic() - start) / 3600})

    def train_and_score(
        self, name: str, knobs: Mapping[str, str], *, overlays: Sequence[str] = (), device: str | None = None
    ) -> None:
        """Train a model and score it.

        An interrupted training is resumed from its last checkpoint. If only the scores are missing, the model is not
        trained again.

        Args:
            name: name of the run and of its folder.
            knobs: names and values of further knobs of this training. The evaluation gets those of them that it needs.
            overlays: config files of this training that are read after those that all runs share.
            device: name of the GPU in ``CUDA_VISIBLE_DEVICES``, from :py:func:`.device_pool.usable_gpus`; None for the
                device that the config names.

        Raises:
            RuntimeError: if a process fails; its output is in ``log.txt`` in the folder of the run.
        """
        self.model_dir(name).mkdir(parents=True, exist_ok=True)
        prefix = name.replace("/", "_")
        config_files = [*self.config_files, *overlays]
        knobs = {**self.knobs, "split": str(self.split_file), **knobs}
        common = {"ckpt_dir": str(self.model_dir(name)), "output_dir": str(self.folder)}
        trained = self.model_dir(name) / "trained"
        if not trained.is_file():
            training_knobs = {**_training_knobs(knobs), **common, "run_prefix": prefix}
            self._monai("training", config_files, training_knobs, name, device)
            trained.touch()
        files = [*config_files, self._evaluate]
        evaluation_knobs = {knob: value for knob, value in knobs.items() if knob in _EVALUATION_KNOBS}
        common["run_name"] = f"{prefix}_scores_{uuid.uuid4().hex[:8]}"
        evaluation_knobs |= {**common, "scores_dir": str(self.scores_dir(name))}
        self._monai("evaluating", files, evaluation_knobs, name, device)
        (self.model_dir(name) / "done").touch()

    def _monai(
        self, run_id: str, config_files: Sequence[str], knobs: Mapping[str, str], name: str, device: str | None
    ) -> None:
        command = [sys.executable, "-m", "monai.bundle", "run", run_id, "--config_file", str(list(config_files))]
        command += [word for knob, value in knobs.items() for word in (f"--{knob}", value)]
        environment = dict(os.environ) if device is None else {**os.environ, "CUDA_VISIBLE_DEVICES": device}
        self.stop_if_asked()
        log = self.model_dir(name) / "log.txt"
        with self._timed(name), open(log, "a", encoding="utf-8") as file, subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=(self._lock,),
            preexec_fn=_die_with_parent,
        ) as process:
            self._running.add(process)
            if self._stop_signal == signal.SIGTERM:  # it came while the process was being started
                process.terminate()
            assert process.stdout is not None
            for line in process.stdout:
                file.write(line)
                file.flush()
                if not _MONAI_LINE.match(line):
                    print(f"{name} | {line}", end="", flush=True)
        self._running.discard(process)
        self.stop_if_asked()
        if process.returncode != 0:
            raise RuntimeError(f"{name} failed in {run_id}; its output is in {log}; the same command resumes it")


# knobs that a training does not have
_EVALUATION_ONLY = ("pixel_size", "tolerance")
# knobs that change the results of an evaluation and are not saved with the model
_EVALUATION_KNOBS = (
    *("bundle_root", "device", "precision", "num_workers", "tracking_uri", "experiment_name", "images", "parent_run"),
    "max_pixels",
    *_EVALUATION_ONLY,
)


def _training_knobs(knobs: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in knobs.items() if name not in _EVALUATION_ONLY}


# the lines that MONAI itself logs, such as every word of the command; they are written to log.txt, but not printed
_MONAI_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ - INFO - ")


def _die_with_parent() -> None:
    """On Linux, let the system kill this process when its parent dies.

    On other systems, a run may outlive its parent; the lock then refuses a second command until the run has ended.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
