# SPDX-License-Identifier: Apache-2.0

"""The search finds the cleaning that pays, and keeps it with the model."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from scripts import cleaning_search
from scripts.cleaning_search import main, search_cleaning
from scripts.transforms.cleaning import NO_CLEANING
from workflows import run


def test_the_search_finds_what_pays_on_the_images_that_chose_the_epoch(trained, blobs, tmp_path, monkeypatch, capsys):
    ckpt_dir = shutil.copytree(trained.ckpt_dir, tmp_path / "models")
    asked = []

    def predict(folder, network_name, images, _):  # the true masks with holes and specks
        asked.extend(images)
        masks = []
        for image in images:
            label = blobs / "masks" / f"{image.rsplit('/', 1)[1].rsplit('.', 1)[0]}.png"
            mask = (cleaning_search.MaskFileReader(2).get_data([str(label)])[0]).copy()
            rows, columns = np.nonzero(mask)
            mask[rows.mean().astype(int), columns.mean().astype(int)] = 0
            mask[0, 0] = 1
            masks.append(mask)
        return masks

    monkeypatch.setattr(cleaning_search, "_predict", predict)
    found = search_cleaning(ckpt_dir)
    validate = [name for name, image in trained.settings["images"].items() if image["part"] == "validate"]
    assert asked == [str(blobs / name) for name in validate]
    assert found["fill_holes"] and found["dice_before"] < found["dice"] == 1.0
    assert found["largest_component"] or found["smallest_object"] > 1
    main(["--ckpt_dir", str(ckpt_dir), "--keep"])
    told = capsys.readouterr().out
    assert "--fill_holes true" in told and f"{len(validate)} image(s), {found['tried']} settings tried" in told
    assert json.loads((ckpt_dir / "model.json").read_text())["cleaning"]["fill_holes"] is True


def test_kept_settings_are_used_from_then_on(trained, blobs, tmp_path):
    ckpt_dir = shutil.copytree(trained.ckpt_dir, tmp_path / "models")
    found = search_cleaning(ckpt_dir)  # really predicted
    assert 0 <= found["dice_before"] <= found["dice"] <= 1
    settings = json.loads((ckpt_dir / "model.json").read_text())
    kept = {**NO_CLEANING, "smallest_object": 100_000}
    (ckpt_dir / "model.json").write_text(json.dumps({**settings, "cleaning": kept}))
    run("inference", ckpt_dir=str(ckpt_dir), dataset_dir=str(blobs), output_dir=str(tmp_path / "masks"))
    reader = cleaning_search.MaskFileReader(256)
    assert not any(reader.get_data([str(path)])[0].any() for path in (tmp_path / "masks").glob("*.png"))
    run("train", "evaluate", ckpt_dir=str(ckpt_dir), output_dir=str(tmp_path))
    summary = json.loads((tmp_path / "evaluation" / "summary.json").read_text())
    assert summary["cleaning"] == kept and summary["protocols"][0]["scores"]["sensitivity"]["mean"] == 0


def test_no_images_to_search_on(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["--ckpt_dir", str(tmp_path)])
    assert "model.pt is not there; train a model first" in capsys.readouterr().err
    (tmp_path / "model.pt").write_bytes(b"of a release")
    with pytest.raises(SystemExit):
        main(["--ckpt_dir", str(tmp_path)])
    assert "names no images that chose the epoch alone; train with --protocol" in capsys.readouterr().err


def test_images_to_search_on_that_nobody_named(trained, tmp_path, capsys):
    ckpt_dir = shutil.copytree(trained.ckpt_dir, tmp_path / "models")
    settings = json.loads((ckpt_dir / "model.json").read_text())
    (ckpt_dir / "model.json").write_text(json.dumps({**settings, "dataset_dir": None}))
    with pytest.raises(SystemExit):
        main(["--ckpt_dir", str(ckpt_dir)])
    assert "does not say where the images of its training lie; name them by --dataset_dir" in capsys.readouterr().err
