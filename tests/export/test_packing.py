# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from scripts.export.formats import export
from workflows import run_command


def test_a_zip_runs_elsewhere_and_names_no_patient(trained, blobs, tmp_path):
    ckpt_dir = Path(shutil.copytree(trained.ckpt_dir, tmp_path / "models"))
    (ckpt_dir / "model.json").write_text(json.dumps({**trained.settings, "layout": "dsb2018"}))
    (path,) = export(ckpt_dir, tmp_path, ["zip"])
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "elsewhere")
    bundle = tmp_path / "elsewhere" / "qtseg"
    text = (bundle / "models" / "model.json").read_text()
    assert "case" not in text and str(blobs) not in text
    settings = json.loads(text)
    assert settings["layout"] == "folder"  # as whoever gets it has other images
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    assert "eval_metrics" not in metadata and "2018" not in metadata["data_source"]  # of the model of nuclei
    again = ("scripts.export", "--formats", "zip", "--ckpt_dir", "models", "--output_dir", str(tmp_path / "again"))
    done = subprocess.run([sys.executable, "-m", *again], cwd=bundle, capture_output=True, text=True)
    assert done.returncode == 0 and (tmp_path / "again" / "qtseg.zip").is_file(), done.stderr
    digests = {image["digest"]: image["part"] for image in settings["images"].values()}
    assert digests == {image["digest"]: image["part"] for image in trained.settings["images"].values()}
    image = str(blobs / "images" / "case 01.png")
    inferring = ("run", "inferring", "--config_file", "configs/inference.json", "--dataset_dir", image)
    done = run_command(*inferring, "--output_dir", str(tmp_path / "masks"), cwd=bundle)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "masks" / "case 01.png").is_file()
