# SPDX-License-Identifier: Apache-2.0

"""Inference over many images: broken ones, a run that was cut off, several processes; through the configs."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from images import write_blobs
from scripts.common.errors import InputError
from trainings import launcher
from workflows import BUNDLE, causes, config_files, run, run_command


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Images in folders, two of which are broken."""
    blobs = write_blobs(tmp_path_factory.mktemp("many") / "blobs", 9)
    root = blobs.parent / "data"
    shutil.copytree(blobs / "images", root / "a folder")
    shutil.copy(root / "a folder" / "case 01.png", root / "case 01.png")
    (root / "broken.png").write_bytes((root / "case 01.png").read_bytes()[:200])
    (root / "a folder" / "no image.jpg").write_text("text")
    return root


def masks_in(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*.png") if "overlays" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def segment(trained, data: Path, folder: Path) -> str:
    """The sentence that a run ends with, whose images are not all good."""
    with pytest.raises(RuntimeError) as failure:
        run("inference", ckpt_dir=str(trained.ckpt_dir), dataset_dir=str(data), output_dir=str(folder))
    return next(str(error) for error in causes(failure.value) if isinstance(error, InputError))


def test_the_good_are_segmented_and_the_broken_named(trained, data, tmp_path, capsys):
    told = segment(trained, data, tmp_path)
    assert "2 image(s) could not be segmented" in told and "failed.csv lists them, the others are done" in told
    masks = masks_in(tmp_path)
    assert set(masks) == {"case 01.png", *(f"a folder/case {i:02d}.png" for i in range(9))}
    twice = [np.asarray(Image.open(tmp_path / name)) for name in ("case 01.png", "a folder/case 01.png")]
    np.testing.assert_array_equal(*twice)
    with Image.open(data / "a folder" / "case 03.png") as image, Image.open(tmp_path / "a folder/case 03.png") as mask:
        assert mask.size == image.size and mask.mode == "P"
    with open(tmp_path / "failed.csv", newline="", encoding="utf-8") as file:
        failed = {Path(row["image"]).name: row["problem"] for row in csv.DictReader(file)}
    assert set(failed) == {"broken.png", "no image.jpg"}
    assert "no image.jpg is not a PNG, JPEG" in failed["no image.jpg"]
    assert "broken.png cannot be read" in failed["broken.png"]
    assert "10 masks:" in capsys.readouterr().out


def test_a_run_that_was_cut_off_goes_on(trained, data, tmp_path, capsys):
    segment(trained, data, tmp_path)
    whole = masks_in(tmp_path)
    kept = tmp_path / "a folder" / "case 02.png"
    (tmp_path / "case 01.png").unlink()
    (tmp_path / ".7.case 01.png").write_bytes(b"half of a mask")
    before = kept.stat().st_mtime_ns
    segment(trained, data, tmp_path)
    assert "9 of 12 images are done in" in capsys.readouterr().out and kept.stat().st_mtime_ns == before
    (tmp_path / ".7.case 01.png").unlink()
    assert masks_in(tmp_path) == whole
    (data / "broken.png").rename(data.parent / "broken.png")
    (data / "a folder" / "no image.jpg").rename(data.parent / "no image.jpg")
    try:
        run("inference", ckpt_dir=str(trained.ckpt_dir), dataset_dir=str(data), output_dir=str(tmp_path))
    finally:
        (data.parent / "broken.png").rename(data / "broken.png")
        (data.parent / "no image.jpg").rename(data / "a folder" / "no image.jpg")
    assert "0 masks:" in capsys.readouterr().out and not (tmp_path / "failed.csv").exists()
    assert kept.stat().st_mtime_ns == before


def test_no_old_mask_passes_for_that_of_a_broken_image(trained, blobs, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    image = shutil.copy(blobs / "images" / "case 01.png", data)
    shutil.copy(blobs / "images" / "case 03.png", data)
    out = tmp_path / "out"
    run("inference", ckpt_dir=str(trained.ckpt_dir), dataset_dir=str(data), output_dir=str(out), overlays=True)
    Path(image).write_bytes(b"no image")
    with pytest.raises(RuntimeError):
        run("inference", ckpt_dir=str(trained.ckpt_dir), dataset_dir=str(data), output_dir=str(out), overlays=True)
    assert {path.relative_to(out).as_posix() for path in out.rglob("*.*") if path.is_file()} == {
        "failed.csv", "case 03.png", "overlays/case 03.png"
    }


def test_masks_of_an_earlier_run_are_no_images(trained, blobs, tmp_path, capsys):
    shutil.copy(blobs / "images" / "case 01.png", tmp_path)
    common = {"ckpt_dir": str(trained.ckpt_dir), "dataset_dir": str(tmp_path)}
    run("inference", output_dir=str(tmp_path / "first"), overlays=True, contours=True, **common)
    run("inference", output_dir=str(tmp_path / "second"), **common)
    assert [path.name for path in (tmp_path / "second").iterdir()] == ["case 01.png"]
    told = capsys.readouterr().out
    assert "2 file(s) left out (made by an inference)" in told
    assert "1 file(s) left out (not an image of a known format): case 01.geojson" in told


def test_overlays_lie_over_the_images_as_they_were(trained, data, tmp_path):
    folder = tmp_path / "out"
    image = data / "a folder" / "case 01.png"
    run("inference", ckpt_dir=str(trained.ckpt_dir), dataset_dir=str(image), output_dir=str(folder), overlays="true")
    with Image.open(image) as opened, Image.open(folder / "overlays" / "case 01.png") as overlay:
        pixels, drawn = np.asarray(opened.convert("RGB")).astype(int), np.asarray(overlay).astype(int)
        ids = np.asarray(Image.open(folder / "case 01.png"))
    same = np.abs(drawn - (pixels - pixels.min()) * 255 / (pixels.max() - pixels.min())).max(-1) <= 1
    assert (same == (ids == 0)).mean() > 0.99


@pytest.mark.parametrize("geometry", ["fit", "native"])
def test_volumes_get_masks_of_their_kind(geometry, tmp_path):
    pages = np.zeros((3, 40, 56, 3), np.uint8)  # of each page another corner is red
    pages[0, :10, :14, 0] = pages[1, :10, -14:, 0] = pages[2, -10:, :14, 0] = 255
    pages[:, 20, 20] = 255
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    first, *others = (Image.fromarray(page) for page in pages)
    first.save(data / "stack.tif", save_all=True, append_images=others)
    first.save(data / "single.png")
    voxels = np.ascontiguousarray(pages.swapaxes(0, 2)).view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]
    nib.save(nib.Nifti1Image(voxels, np.diag([-2.0, 3, 4, 1])), data / "volume.nii.gz")
    run(
        "inference",
        dataset_dir=str(data),
        ckpt_dir=str(tmp_path / "no model"),
        output_dir=str(out),
        spatial_size=[64, 64],
        geometry=geometry,
        network_def={"_target_": "workflows.RedIsForeground"},
        run=["$@evaluator.run()", "$@save_masks.report()"],
    )
    expected = pages[..., 0] > pages[..., 1]
    stack, volume = tifffile.imread(out / "stack.tif"), nib.load(out / "volume.nii.gz")
    assert stack.shape == expected.shape and stack.dtype == np.uint8
    for found in (stack, np.asarray(volume.dataobj).swapaxes(0, 2)):
        assert (found == expected).mean() > 0.98
    np.testing.assert_array_equal(volume.affine, np.diag([-2.0, 3, 4, 1]))
    assert (np.asarray(Image.open(out / "single.png")) == expected[0]).mean() > 0.98


@pytest.mark.parametrize("geometry", ["fit", "native"])
def test_what_else_is_saved_on_request(geometry, trained, data, tmp_path):
    image = data / "a folder" / "case 01.png"
    wanted = {"contours": True, "probability_maps": True, "uncertainty_maps": "true", "tta": "flips"}
    common = {"ckpt_dir": str(trained.ckpt_dir), "dataset_dir": str(image), "geometry": geometry}
    run("inference", output_dir=str(tmp_path), device="cpu", **common, **wanted)
    ids = np.asarray(Image.open(tmp_path / "case 01.png"))
    probability = np.asarray(Image.open(tmp_path / "probability_maps" / "1" / "case 01.png"))
    uncertainty = np.asarray(Image.open(tmp_path / "uncertainty_maps" / "case 01.png"))
    assert probability.dtype == uncertainty.dtype == np.uint16 and probability.shape == ids.shape
    np.testing.assert_array_equal(ids[probability != 32768] == 1, probability[probability != 32768] > 32768)
    unsure = np.abs(probability - 32767.5) < 1000
    assert not unsure.any() or uncertainty[unsure].min() > uncertainty[~unsure].mean()
    outlines = json.loads((tmp_path / "contours" / "case 01.geojson").read_text())
    assert bool(outlines["features"]) == bool(ids.any())


def test_two_processes_write_the_same_masks_as_one(trained, data, tmp_path):
    segment(trained, data, tmp_path / "one")
    done = run_command(
        *("run", "inferring", "--config_file", str(config_files("inference", "multi_gpu_inference"))),
        *("--bundle_root", str(BUNDLE), "--ckpt_dir", str(trained.ckpt_dir), "--dataset_dir", str(data)),
        *("--output_dir", str(tmp_path / "two")),
        cwd=tmp_path,
        launcher=launcher(2),
    )
    assert done.returncode == 1 and "2 image(s) could not be segmented" in done.stderr, done.stderr[-6000:]
    assert done.stdout.count("10 masks:") == 1
    assert masks_in(tmp_path / "two") == masks_in(tmp_path / "one")
    assert (tmp_path / "two" / "failed.csv").read_text() == (tmp_path / "one" / "failed.csv").read_text()
