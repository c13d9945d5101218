# SPDX-License-Identifier: Apache-2.0

"""Trainings and their scores in one folder, each in processes of its own; what was cut off goes on."""

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


class ScoredRuns:
    """A folder of models, each in a folder of its name, with its scores in ``evaluation/`` there.

    ``split.json`` holds the split that all use. The folder is bound to it and to the settings that it was begun with.

    Args:
        folder: the folder; made if it is not there.
        config_file: of the trainings, as for ``monai.bundle run``.
        knobs: names and values that all of them share, as on its command line.
        settings_name: of the file in the folder that keeps these settings.
    """

    def __init__(self, folder: Path, config_file: str, knobs: Mapping[str, str], settings_name: str) -> None:
        self.folder = folder
        self.config_files = config_files_of(config_file)
        self.knobs = dict(knobs)
        self.split_file = folder / "split.json"
        self._settings = {"config_file": config_file, **{k: value for k, value in knobs.items() if k != "resume"}}
        self._settings_file = folder / settings_name
        self._running: set[subprocess.Popen] = set()
        self._asked = 0  # to stop, by this signal

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep the folder for this process and its runs, and check that it was begun with the same settings.

        SIGTERM is handed on to the runs meanwhile, which save before they end, as they do after Ctrl-C.

        Raises:
            InputError: if another process has it, or the settings differ.
        """
        in_use = f"{self.folder} is in use by another such command; wait for it or stop it"
        self._lock = lock_folder(self.folder, in_use)
        try:
            os.set_inheritable(self._lock, True)  # so a run that outlives this process keeps it
            self._check_settings()
            before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)
        finally:
            os.close(self._lock)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._asked = number
        if number == signal.SIGTERM:  # Ctrl-C reaches the runs by itself
            for process in list(self._running):  # other threads start runs meanwhile
                process.terminate()

    def stop_if_asked(self) -> None:
        """End this process if it was asked to: what follows would not be whole."""
        if self._asked:
            raise SystemExit(128 + self._asked)

    def _check_settings(self) -> None:
        if self._settings_file.is_file():
            begun = read_json(self._settings_file)
            for name in sorted(begun | self._settings):
                if begun.get(name) != self._settings.get(name):
                    raise InputError(
                        f"{self.folder} was begun with {name} {begun.get(name)}, now it is "
                        f"{self._settings.get(name)}; set it as it was to go on, or give another --output_dir"
                    )

    def config(self, overlays: Sequence[str] = ()) -> ConfigParser:
        """The config that a training here would have, with what its overlays add."""
        folder = str(self.folder)
        knobs = {**_of_training(self.knobs), "output_dir": folder, "run_dir": folder}
        return config_of([*self.config_files, *overlays], knobs)

    def of_evaluation(self) -> dict[str, Any]:
        """Those of the knobs that evaluations have and trainings have not, checked.

        Raises:
            InputError: if one has no such value.
        """
        config = config_of([*self.config_files, self._evaluate], self.knobs)
        found = {name: config.get_parsed_content(name) for name in _OF_EVALUATION_ALONE if name in self.knobs}
        check_knobs(found)
        return found

    @property
    def _evaluate(self) -> str:
        return str(Path(self.config_files[0]).parent / "evaluate.json")  # its neighbor

    def remember(self, split: Split, folds: Iterable[int]) -> None:
        """Bind the folder to its settings and to a split, once they are known to be right.

        Args:
            split: that all trainings use.
            folds: that are to be scored.

        Raises:
            InputError: if the folder was begun with another split, or there is nothing to score in a fold.
        """
        if self.split_file.is_file() and read_json(self.split_file)["digest"] != split.digest:
            raise InputError(f"{self.folder} was begun with other images or groups; give another --output_dir")
        for fold in folds:
            if not split.folds[fold].test:
                raise InputError(f"fold {fold} of the split holds no image out to score; set another --split")
        write_json(self._settings_file, self._settings)
        write_split(split, self.split_file)

    def model_dir(self, name: str) -> Path:
        """The folder of a run's model."""
        return self.folder / name

    def scores_dir(self, name: str) -> Path:
        """The folder of a run's scores."""
        return self.model_dir(name) / "evaluation"

    def has_scores(self, name: str) -> bool:
        """Whether a run is trained and scored."""
        return (self.model_dir(name) / "done").is_file()

    def hours(self, name: str) -> float:
        """What a run has taken so far; of what was cut off, only what ended by itself or was stopped counts."""
        path = self.model_dir(name) / "hours.json"
        return float(read_json(path)["hours"]) if path.is_file() else 0.0

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        before, start = self.hours(name), time.monotonic()
        try:
            yield
        finally:
            write_json(self.model_dir(name) / "hours.json", {"hours": before + (time.monotonic() - start) / 3600})

    def train_and_score(
        self, name: str, knobs: Mapping[str, str], *, overlays: Sequence[str] = (), device: str | None = None
    ) -> None:
        """Train a model and score it. What was cut off goes on from its last checkpoint, or with the scores.

        Args:
            name: of the run, and of its folder.
            knobs: of this training, by name, beside those that all share; an evaluation is told those that it needs.
            overlays: config files of this training, beside those that all share.
            device: what the system calls the GPU; None for what the config says.

        Raises:
            RuntimeError: if a process fails; its output is in the run's ``log.txt``.
        """
        self.model_dir(name).mkdir(parents=True, exist_ok=True)
        prefix = name.replace("/", "_")
        config_files = [*self.config_files, *overlays]
        knobs = {**self.knobs, "split": str(self.split_file), **knobs}
        common = {"ckpt_dir": str(self.model_dir(name)), "output_dir": str(self.folder)}
        trained = self.model_dir(name) / "trained"
        if not trained.is_file():
            of_training = {**_of_training(knobs), **common, "run_prefix": prefix}
            self._monai("training", config_files, of_training, name, device)
            trained.touch()
        files = [*config_files, self._evaluate]
        kept = {knob: value for knob, value in knobs.items() if knob in _OF_EVALUATION}
        common["run_name"] = f"{prefix}_scores_{uuid.uuid4().hex[:8]}"
        self._monai("evaluating", files, {**kept, **common, "scores_dir": str(self.scores_dir(name))}, name, device)
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
            if self._asked == signal.SIGTERM:  # while it was being started
                process.terminate()
            assert process.stdout is not None
            for line in process.stdout:
                file.write(line)
                file.flush()
                if not _OF_MONAI.match(line):
                    print(f"{name} | {line}", end="", flush=True)
        self._running.discard(process)
        self.stop_if_asked()
        if process.returncode != 0:
            raise RuntimeError(f"{name} failed in {run_id}; what it said is in {log}; the same command goes on")


# knobs that a training has not
_OF_EVALUATION_ALONE = ("pixel_size", "tolerance")
# those that change what an evaluation computes and that models do not remember
_OF_EVALUATION = (
    *("bundle_root", "device", "precision", "num_workers", "tracking_uri", "experiment_name", "images", "parent_run"),
    "max_pixels",
    *_OF_EVALUATION_ALONE,
)


def _of_training(knobs: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in knobs.items() if name not in _OF_EVALUATION_ALONE}


# what MONAI logs of its own, such as every word of the command; the log has it
_OF_MONAI = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ - INFO - ")


def _die_with_parent() -> None:
    """On Linux; elsewhere the lock keeps a second such command from meeting a run that outlives the first."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
