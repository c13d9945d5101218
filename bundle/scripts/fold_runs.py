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

"""The folds of a cross-validation on disk, and the processes that train and score them."""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from fire.parser import DefaultParseValue

from .errors import InputError
from .whole_files import read_json, write_json

__all__ = ["FoldRuns"]


class FoldRuns:
    """A folder with everything of a cross-validation.

    ``fold_<i>/`` holds a fold's model and ``fold_<i>/evaluation/`` its scores, ``split.json`` the split that all use,
    ``cross_validation.json`` the settings it was begun with.

    Args:
        folder: the folder; made if it is not there.
        config_file: of the training, as for ``monai.bundle run``.
        knobs: names and values, as on its command line.
    """

    def __init__(self, folder: Path, config_file: str, knobs: Mapping[str, str]) -> None:
        self.folder = folder
        self.config_file = config_file
        files = DefaultParseValue(config_file)
        self.config_files = list(files) if isinstance(files, (list, tuple)) else [files]
        self.knobs = dict(knobs)
        self.split_file = folder / "split.json"
        self._running: set[subprocess.Popen] = set()
        self._asked = 0  # to stop, by this signal

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep the folder for this process and its folds, and check that it was begun with the same settings.

        SIGTERM is handed on to the folds meanwhile, which save before they end, as they do after Ctrl-C.

        Raises:
            InputError: if another process has it, or the settings differ.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / ".lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                used = f"{self.folder} is in use by another cross-validation; wait for it or stop it"
                raise InputError(used) from error
            os.set_inheritable(lock.fileno(), True)  # so a fold that outlives this process keeps it
            self._lock = lock.fileno()
            self._check_settings()
            before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._asked = number
        if number == signal.SIGTERM:  # Ctrl-C reaches the folds by itself
            for process in self._running:
                process.terminate()

    def _check_settings(self) -> None:
        path = self.folder / "cross_validation.json"
        settings = self._settings()
        if path.is_file():
            begun = read_json(path)
            for name in sorted(begun | settings):
                if begun.get(name) != settings.get(name):
                    raise InputError(
                        f"{self.folder} was begun with {name} {begun.get(name)}, now it is {settings.get(name)}; set "
                        "it as it was to go on, or give another --output_dir"
                    )

    def remember_settings(self) -> None:
        """Bind the folder to these settings, once they are known to be right."""
        write_json(self.folder / "cross_validation.json", self._settings())

    def _settings(self) -> dict[str, str]:
        return {"config_file": self.config_file, **{k: value for k, value in self.knobs.items() if k != "resume"}}

    def model(self, fold: int) -> Path:
        """The folder of a fold's model."""
        return self.folder / f"fold_{fold}"

    def evaluation(self, fold: int) -> Path:
        """The folder of a fold's scores."""
        return self.model(fold) / "evaluation"

    def is_done(self, fold: int) -> bool:
        """Whether a fold is trained and scored."""
        return (self.model(fold) / "done").is_file()

    def run(self, fold: int, *, device: str | None, parent_run: str) -> None:
        """Train and score a fold. One that was cut off goes on from its last checkpoint, or with the scores.

        Args:
            fold: its number.
            device: number of the GPU; None for what the config says.
            parent_run: MLflow's id of the cross-validation.

        Raises:
            RuntimeError: if a process fails; its output is in the fold's ``log.txt``.
        """
        self.model(fold).mkdir(exist_ok=True)
        name = f"fold_{fold}"
        common = {"ckpt_dir": str(self.model(fold)), "output_dir": str(self.folder), "parent_run": parent_run}
        training = {**self.knobs, **common, "fold": str(fold), "split": str(self.split_file), "run_prefix": name}
        trained = self.model(fold) / "trained"
        if not trained.is_file():
            self._monai("training", self.config_file, training, fold, device)
            trained.touch()
        files = [*self.config_files, str(Path(self.config_files[0]).parent / "evaluate.json")]
        kept = {name: value for name, value in self.knobs.items() if name in _OF_EVALUATION}
        common["run_name"] = f"{name}_scores_{uuid.uuid4().hex[:8]}"
        scoring = {**kept, **common, "scores_dir": str(self.evaluation(fold))}
        self._monai("evaluating", str(files), scoring, fold, device)
        (self.model(fold) / "done").touch()

    def _monai(
        self, run_id: str, config_file: str, knobs: Mapping[str, str], fold: int, device: str | None
    ) -> None:
        command = [sys.executable, "-m", "monai.bundle", "run", run_id, "--config_file", config_file]
        command += [word for name, value in knobs.items() for word in (f"--{name}", value)]
        environment = dict(os.environ) if device is None else {**os.environ, "CUDA_VISIBLE_DEVICES": device}
        if self._asked:
            raise SystemExit(128 + self._asked)
        log = self.model(fold) / "log.txt"
        with open(log, "a", encoding="utf-8") as file, subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=(self._lock,),
            preexec_fn=_die_with_parent,
        ) as process:
            self._running.add(process)
            assert process.stdout is not None
            for line in process.stdout:
                file.write(line)
                file.flush()
                if not _OF_MONAI.match(line):
                    print(f"fold {fold} | {line}", end="", flush=True)
        self._running.discard(process)
        if self._asked:
            raise SystemExit(128 + self._asked)
        if process.returncode != 0:
            raise RuntimeError(f"fold {fold} failed in {run_id}; what it said is in {log}; the same command goes on")


# of the knobs of a training, those that change what an evaluation computes and that models do not remember
_OF_EVALUATION = (
    *("bundle_root", "device", "precision", "num_workers", "tracking_uri", "experiment_name", "images"),
    *("pixel_size", "tolerance"),
)


# what MONAI logs of its own, such as every word of the command; the log has it
_OF_MONAI = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ - INFO - ")


def _die_with_parent() -> None:
    """On Linux; elsewhere the lock keeps a second cross-validation from meeting a fold that outlives the first."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
