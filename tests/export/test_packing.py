# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from scripts.common.files import file_digest
from scripts.export.formats import export
from scripts.export.packing import pack
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


def test_groups_keep_together_and_hide_their_names(trained, tmp_path):
    settings = {**trained.settings, "sha256": file_digest(trained.ckpt_dir / "model.pt"), "group": "p[0-9]+"}
    parts = [("train", "Jane"), ("test", "Joan"), ("train", "Jane")]
    images = {f"{i}.png": {"part": part, "group": group, "digest": f"d{i}"} for i, (part, group) in enumerate(parts)}
    shutil.copy(trained.ckpt_dir / "model.pt", tmp_path)
    (tmp_path / "model.json").write_text(json.dumps({**settings, "images": images}))
    pack(tmp_path, tmp_path / "model.pt", str(tmp_path / "qtseg.zip"))
    with zipfile.ZipFile(tmp_path / "qtseg.zip") as archive:
        packed = json.loads(archive.read("qtseg/models/model.json"))
        names = archive.namelist()
    kept = list(packed["images"].values())
    assert [(image["part"], image["digest"]) for image in kept] == [("train", "d0"), ("test", "d1"), ("train", "d2")]
    assert kept[0]["group"] == kept[2]["group"] != kept[1]["group"] and "J" not in json.dumps(packed["images"])
    assert packed["group"] is packed["dataset_dir"] is packed["split"] is None and packed["leaks"] == []
    assert {"qtseg/LICENSE", "qtseg/configs/inference.json", "qtseg/scripts/export/packing.py"} <= set(names)
    assert len(names) == len(set(names)) and not any("__pycache__" in name for name in names)


def test_weights_without_settings_are_packed_alone(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"weights")
    pack(tmp_path, tmp_path / "model.pt", str(tmp_path / "qtseg.zip"))
    with zipfile.ZipFile(tmp_path / "qtseg.zip") as archive:
        assert archive.read("qtseg/models/model.pt") == b"weights"
        assert "qtseg/models/model.json" not in archive.namelist()
