# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from ignite.engine import Engine, Events
from PIL import Image

from scripts.common.errors import InputError
from scripts.image_io.mask_marks import made_of, read_mark, was_changed
from scripts.inference.save_masks import SaveMasks


def save(folder: Path, batches: list[list[dict[str, str]]], decided: torch.Tensor, **outputs: bool) -> SaveMasks:
    """Save masks of batches as an evaluator does that decides the same of every image."""
    saver = SaveMasks(folder, num_images=sum(map(len, batches)), max_pixels=1000, out_channels=3, outputs=outputs)
    engine = Engine(lambda engine, batch: [{"pred": decided}] * len(batch))

    @engine.on(Events.ITERATION_STARTED)
    def as_monais(engine: Engine) -> None:
        engine.state.batch = batches[(engine.state.iteration - 1) % len(batches)]  # type: ignore[attr-defined]

    saver.attach(engine)
    engine.run(batches, max_epochs=1)
    return saver


def item(folder: Path, name: str, problem: str = "") -> dict[str, str]:
    """What a dataset gives of an image, which is written unless there is a problem."""
    source = folder / f"{name}.png"
    if not problem:
        Image.new("RGB", (4, 3), (90, 90, 90)).save(source)
    made = made_of(source, {"problem": problem})
    return {"source": str(source), "mask": f"{name}.png", "made": made, "problem": problem}


def test_pixels_of_a_mask_are_label_ids_and_maps_have_16_bits(tmp_path):
    ids = torch.tensor([[0, 1, 2, 0], [2, 2, 0, 0], [0, 0, 0, 1]])
    decided = torch.stack([ids, 100 * ids, 65535 - ids, 7 + ids])  # ids, probabilities of classes 1 and 2, entropy
    batches = [[item(tmp_path, "a"), item(tmp_path, "b")]]
    out = tmp_path / "out"
    save(out, batches, decided, overlays=True, probability_maps=True, uncertainty_maps=True, contours=True)
    with Image.open(out / "b.png") as mask:
        assert mask.mode == "P" and np.array_equal(np.asarray(mask), ids)
    for name, expected in (("probability_maps/1", 100 * ids), ("probability_maps/2", 65535 - ids)):
        with Image.open(out / name / "a.png") as picture:
            assert np.array_equal(np.asarray(picture), expected)
    with Image.open(out / "uncertainty_maps" / "a.png") as picture:
        assert np.array_equal(np.asarray(picture), 7 + ids)
    with Image.open(out / "overlays" / "a.png") as overlay:
        assert overlay.size == (4, 3)
    assert json.loads((out / "contours" / "a.geojson").read_text())["type"] == "FeatureCollection"
    assert read_mark(out / "a.png") == batches[0][0]["made"] and not was_changed(out / "a.png")


def test_slices_of_a_volume_are_pages_in_their_order(tmp_path):
    decided = torch.arange(24).reshape(1, 2, 3, 4)  # (1, H, W, D)
    volume = {**item(tmp_path, "v"), "mask": "v.tif"}
    save(tmp_path / "out", [[volume]], decided, overlays=True)
    pages = tifffile.imread(tmp_path / "out" / "v.tif")
    assert pages.dtype == np.uint8 and np.array_equal(pages, decided[0].movedim(-1, 0))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["v.tif"]


def test_what_could_not_be_read_is_listed_and_its_old_mask_goes(tmp_path, caplog):
    out, ids = tmp_path / "out", torch.ones(1, 3, 4, dtype=torch.int64)
    save(out, [[item(tmp_path, "a"), item(tmp_path, "b")]], ids)
    broken = item(tmp_path, "a", problem="a.png is damaged; mend it")
    saver = save(out, [[broken], [item(tmp_path, "c")]], ids)
    assert sorted(path.name for path in out.iterdir()) == ["b.png", "c.png"]
    with caplog.at_level("INFO", logger="qtseg"), pytest.raises(InputError) as told:
        saver.report()
    assert str(told.value) == (
        f"1 image(s) could not be segmented; {out / 'failed.csv'} lists them, the others are done"
    )
    assert "1 masks:" in caplog.text and "a.png is damaged; mend it" in caplog.text
    with open(out / "failed.csv", newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["image", "problem"], [broken["source"], broken["problem"]]]
    save(out, [[item(tmp_path, "a")]], ids).report()
    assert not (out / "failed.csv").exists() and (out / "a.png").is_file()
