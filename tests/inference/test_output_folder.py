# SPDX-License-Identifier: Apache-2.0

"""What is left to do in a folder of masks, and who does it."""

from __future__ import annotations

import os
from pathlib import Path

import ignite.distributed as idist
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from scripts.common.errors import InputError
from scripts.image_io.mask_marks import mark, read_mark, was_changed
from scripts.image_io.pictures import save_palette
from scripts.inference import output_folder as outputs
from scripts.inference.output_folder import batches_of, other_files
from scripts.inference.save_masks import SaveMasks


@pytest.fixture
def images(tmp_path) -> list[dict[str, str]]:
    items = [{"image": str(tmp_path / f"{name}.jpg"), "mask": f"sub/{name}.png"} for name in "abc"]
    for item in items:
        Path(item["image"]).write_bytes(b"")
    (tmp_path / "masks" / "sub").mkdir(parents=True)
    return items


def still_to_do(images: list, folder: Path, settings: dict, wanted: dict[str, bool] | None = None) -> list[dict]:
    return outputs.still_to_do(images, folder, settings, outputs=wanted or {}, out_channels=2)


def finish(items: list[dict[str, str]], folder: Path, names_: str) -> None:
    """What an inference does with some of its images."""
    for item in items:
        if Path(item["image"]).stem in names_:
            ids = np.full((2, 3), len(names_), np.uint8)
            save_palette(ids, folder / item["mask"], mark(item["made"], ids))


def names(items: list[dict[str, str]]) -> str:
    return "".join(Path(item["image"]).stem for item in items)


def test_what_is_done_is_not_done_again(images, tmp_path):
    masks = tmp_path / "masks"
    todo = still_to_do(images, masks, {"model": "1"})
    assert names(todo) == "abc"
    finish(todo, masks, "ab")
    assert names(still_to_do(images, masks, {"model": "1"})) == "c"
    os.utime(images[1]["image"])  # a new version of the image
    assert names(still_to_do(images, masks, {"model": "1"})) == "bc"


def test_another_model_that_was_cut_off_goes_on_with_its_own(images, tmp_path):
    masks = tmp_path / "masks"
    finish(still_to_do(images, masks, {"model": "1"}), masks, "abc")
    second = still_to_do(images, masks, {"model": "2"})
    assert names(second) == "abc"
    finish(second, masks, "a")
    assert names(still_to_do(images, masks, {"model": "2"})) == "bc"


def test_images_of_another_folder_are_not_done_by_masks_of_the_same_name(images, tmp_path):
    masks = tmp_path / "masks"
    finish(still_to_do(images, masks, {}), masks, "abc")
    (tmp_path / "other").mkdir()
    others = [{**item, "image": str(tmp_path / "other" / Path(item["image"]).name)} for item in images]
    for item in others:
        Path(item["image"]).write_bytes(b"")
    assert names(still_to_do(others, masks, {})) == "abc"


def test_nothing_is_overwritten_but_masks_as_they_were_made(images, tmp_path, caplog):
    masks = tmp_path / "masks"
    finish(still_to_do(images, masks, {}), masks, "a")
    still_to_do(images, masks, {"model": "2"})
    Image.new("P", (4, 4)).save(masks / "sub" / "b.png")
    with pytest.raises(InputError, match="b.png would be overwritten, but no inference has made it; move it, or"):
        still_to_do(images, masks, {})
    (masks / "sub" / "b.png").unlink()
    with Image.open(masks / "sub" / "a.png") as mask:  # corrected by hand, all else kept
        mask.putpixel((0, 0), 5)
        text = PngInfo()
        text.add_text("qtseg", mask.info["qtseg"])
        mask.save(masks / "sub" / "a.png", pnginfo=text)
    assert names(still_to_do(images, masks, {})) == "bc"  # by the same model nothing is made anew
    with caplog.at_level("WARNING", "qtseg"):
        assert names(still_to_do(images, masks, {"model": "2"})) == "bc"  # nor by another
    assert "1 image(s) stay as they are, as files were changed since: sub/a.png" in caplog.text


def test_an_image_is_never_its_own_mask(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="a.png would be overwritten, but no inference has made it"):
        still_to_do([{"image": str(tmp_path / "a.png"), "mask": "a.png"}], tmp_path, {})


ALL = {"overlays": True, "contours": True, "probability_maps": True, "uncertainty_maps": True}


def test_what_is_written_of_an_image():
    names = ["overlays/a/b.png", "contours/a/b.geojson", "uncertainty_maps/a/b.png"]
    names += ["probability_maps/1/a/b.png", "probability_maps/2/a/b.png"]
    assert list(other_files("a/b.png", ALL, 3).values()) == names
    assert other_files("a/b.png", {"overlays": False}, 3) == {} and other_files("a/b.nii.gz", ALL, 3) == {}


@pytest.mark.parametrize("name", list(other_files("sub/c.png", ALL, 2).values()))
def test_other_outputs_overwrite_nothing_either(name, images, tmp_path):
    masks = tmp_path / "masks"
    (masks / name).parent.mkdir(parents=True)
    (masks / name).write_bytes(b"mine")
    for _ in range(2):  # without a mask beside it, and with one that is ours
        with pytest.raises(InputError, match="c.* would be overwritten, but no inference has made it"):
            still_to_do(images, masks, {}, ALL)
        finish(still_to_do(images, masks, {}), masks, "abc")


def test_what_was_cut_off_between_an_overlay_and_its_mask_goes_on(images, tmp_path):
    masks = tmp_path / "masks"
    (first, *_) = still_to_do(images, masks, {}, ALL)
    saver = SaveMasks(masks, num_images=1, max_pixels=100, out_channels=2, outputs={**ALL, "overlays": False})
    saver._save_one({**first, "source": first["image"]}, np.ones((3, 6, 6), np.int32))
    (masks / first["mask"]).unlink()
    written = [masks / name for kind, name in other_files(first["mask"], ALL, 2).items() if kind != "overlays"]
    assert all(path.is_file() and read_mark(path) and not was_changed(path) for path in written)
    assert names(still_to_do(images, masks, {}, ALL)) == "abc"
    outlines = masks / "contours" / "sub" / "a.geojson"
    outlines.write_text(outlines.read_text().replace("class 1", "nucleus"))  # by hand
    assert names(still_to_do(images, masks, {}, ALL)) == "bc"  # corrected by hand


def test_what_is_wanted_besides_is_made_when_it_is_missing_and_only_then(images, tmp_path):
    masks = tmp_path / "masks"
    wanted = {"contours": True}
    saver = SaveMasks(masks, num_images=3, max_pixels=100, out_channels=2, outputs=wanted)
    for item in still_to_do(images, masks, {}, wanted):
        saver._save_one({**item, "source": item["image"]}, np.ones((1, 6, 6), np.uint8))
    assert still_to_do(images, masks, {}, wanted) == [] and still_to_do(images, masks, {}) == []
    outlines = masks / "contours" / "sub" / "b.geojson"
    outlines.unlink()
    assert still_to_do(images, masks, {}) == [] and names(still_to_do(images, masks, {}, wanted)) == "b"
    os.utime(images[2]["image"])  # another image, of which no outlines are wanted
    (item,) = still_to_do(images, masks, {})
    SaveMasks(masks, num_images=1, max_pixels=100, out_channels=2)._save_one(
        {**item, "source": item["image"]}, np.zeros((1, 6, 6), np.uint8)
    )
    assert [path.name for path in (masks / "contours" / "sub").iterdir()] == ["a.geojson"]


def test_names_that_inference_takes(images, tmp_path):
    masks = tmp_path / "masks"
    wanted = {"overlays": True, "contours": False}
    named = [{**images[0], "mask": "overlays/a.png"}]
    with pytest.raises(InputError, match="lies in a folder named as one that inference makes; rename it, or set --"):
        still_to_do(named, masks, {}, wanted)
    assert still_to_do(named, masks, {})
    (masks / "failed.csv").write_text("my,own,list\n")
    with pytest.raises(InputError, match="failed.csv would be overwritten, but is no list of ours"):
        still_to_do(images, masks, {}, wanted)


def test_masks_of_huge_images_are_known(images, tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2)  # Pillow's own limit, at which Image.open raises
    masks = tmp_path / "masks"
    finish(still_to_do(images, masks, {}), masks, "abc")
    assert still_to_do(images, masks, {}) == []
    assert names(still_to_do(images, masks, {"model": "2"})) == "abc"


@pytest.mark.parametrize("processes", [1, 2, 3, 5])
def test_batches_are_the_same_for_any_number_of_processes(processes, monkeypatch):
    images = [{"mask": f"{i}.nii.gz" if i == 5 else f"{i}.png"} for i in range(10)]
    whole = batches_of(images, 4)
    assert whole == [[0, 1, 2, 3], [4], [5], [6, 7, 8, 9]]  # a volume is alone
    monkeypatch.setattr(idist, "get_world_size", lambda: processes)
    dealt = []
    for rank in range(processes):
        monkeypatch.setattr(idist, "get_rank", lambda rank=rank: rank)
        dealt += batches_of(images, 4)
    assert sorted(dealt) == whole
