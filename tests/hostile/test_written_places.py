# SPDX-License-Identifier: Apache-2.0

"""Nothing is written but what was asked for, and nothing is sent."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from workflows import BUNDLE, config_files

WATCHED = Path(__file__).parents[1] / "watched.py"
# what libraries keep for themselves in the user's home, while they are imported
LIBRARIES = (".config/mlflow", ".config/matplotlib", ".cache/matplotlib")


def inside(path: str, folders: list[Path]) -> bool:
    """Whether a path is in one of the folders, or is one of them or a folder above: these are made where missing."""
    return any(Path(path).is_relative_to(folder) or folder.is_relative_to(path) for folder in folders)


def contents(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*")}


@pytest.fixture
def watched(tmp_path, blobs):
    """Run a config in surroundings of its own; what it writes outside of some folders fails the test."""
    places = {name: tmp_path / name for name in ("home", "cwd")}
    for place in places.values():
        place.mkdir()
    places["temporary"] = Path(tempfile.mkdtemp(dir="/tmp"))  # sockets in it must have short names
    ours = ("CI", "PYTEST_CURRENT_TEST", "TORCHINDUCTOR_CACHE_DIR")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    environment |= {"HOME": str(places["home"]), "TMPDIR": str(places["temporary"]), "OMP_NUM_THREADS": "1"}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"

    def run(run_id: str, *names: str, folders: list[Path], **knobs: Any) -> list[str]:
        log = tmp_path / "log"
        log.unlink(missing_ok=True)
        knobs |= {"config_file": config_files(*names), "bundle_root": BUNDLE}
        words = [word for name, value in knobs.items() for word in (f"--{name}", str(value))]
        command = [sys.executable, str(WATCHED), str(log), "monai.bundle", "run", run_id, *words]
        before = contents(blobs)
        done = subprocess.run(command, cwd=places["cwd"], env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr[-3000:]
        assert contents(blobs) == before and not contents(places["cwd"])
        lines = [line.split(" ", 1) for line in log.read_text().splitlines()]
        written = [ast.literal_eval(what) for kind, what in lines if kind == "write"]
        allowed = [*folders, places["temporary"], *(places["home"] / name for name in LIBRARIES), Path("/dev/null")]
        assert [path for path in written if not inside(path, allowed)] == []
        addresses = [ast.literal_eval(what) for kind, what in lines if kind == "connect"]
        assert [a for a in addresses if not inside(str(a), [places["temporary"]])] == []  # sockets between processes
        return written

    yield run
    shutil.rmtree(places["temporary"])


def test_a_training_writes_into_its_two_folders(watched, blobs, tmp_path):
    ckpt_dir, output_dir = tmp_path / "models", tmp_path / "eval"
    small = {"spatial_size": [32, 32], "batch_size": 4, "max_epochs": 1, "num_workers": 1}
    folders = {"ckpt_dir": ckpt_dir, "output_dir": output_dir}
    written = watched("run", "train", dataset_dir=blobs, **small, **folders, folders=[ckpt_dir, output_dir])
    assert str(ckpt_dir / "model.pt") in written and str(output_dir / "mlruns.db") in written


def test_evaluation_and_inference_write_into_output_dir(watched, trained, blobs, tmp_path):
    output_dir = tmp_path / "scores"
    before = contents(trained.ckpt_dir)
    folders = {"ckpt_dir": trained.ckpt_dir, "output_dir": output_dir}
    written = watched("run", "train", "evaluate", dataset_dir=blobs, **folders, folders=[output_dir])
    assert any(path.endswith(".html") for path in written)
    folders["output_dir"] = masks = tmp_path / "masks"
    wanted = {"overlays": True, "contours": True, "probability_maps": True, "uncertainty_maps": True}
    written = watched("run", "inference", dataset_dir=blobs / "images", **folders, **wanted, folders=[masks])
    assert len({path for path in written if path.endswith("case 01.png")}) == 4
    assert contents(trained.ckpt_dir) == before


def test_mlflow_reports_to_nobody_unless_told_to(tmp_path):
    kept = ("PATH", "VIRTUAL_ENV", "MLFLOW_TRACKING_URI")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": str(BUNDLE)}
    code = (
        "import os\n"
        "from mlflow.telemetry import get_telemetry_client as client\n"
        "from scripts.tracking.mlflow_handlers import RunTracker\n"
        "told = [client() is not None]\n"
        "for wish in (None, 'false'):\n"
        "    if wish:\n"
        "        os.environ['MLFLOW_DISABLE_TELEMETRY'] = wish\n"
        f"    RunTracker(tracking_uri='sqlite:///{tmp_path}/a.db')\n"
        "    told.append(client() is not None)\n"
        "print(told)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout == "[True, False, True]\n", done.stderr
