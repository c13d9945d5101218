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
"""What is left to do in a folder of masks, and who does it."""

from __future__ import annotations

import os
from pathlib import Path

import ignite.distributed as idist
import numpy as np
import pytest
from PIL import Image

from scripts.errors import InputError
from scripts.outputs import batches_of, still_to_do
from scripts.pictures import save_palette
from scripts.whole_files import write_json


@pytest.fixture
def images(tmp_path) -> list[dict[str, str]]:
    items = [{"image": str(tmp_path / f"{name}.jpg"), "mask": f"sub/{name}.png"} for name in "abc"]
    for item in items:
        Path(item["image"]).write_bytes(b"")
    (tmp_path / "masks" / "sub").mkdir(parents=True)
    return items


def done(folder: Path, name: str) -> None:
    save_palette(np.zeros((2, 2), np.uint8), folder / "sub" / f"{name}.png")


def names(items: list[dict[str, str]]) -> str:
    return "".join(Path(item["image"]).stem for item in items)


def test_what_is_done_is_not_done_again(images, tmp_path):
    masks = tmp_path / "masks"
    assert names(still_to_do(images, masks, {"model": "1"})) == "abc"
    write_json(masks / "inference.json", {"model": "1"})
    done(masks, "a")
    done(masks, "b")
    assert names(still_to_do(images, masks, {"model": "1"})) == "c"
    os.utime(images[1]["image"])  # a new version of the image
    assert names(still_to_do(images, masks, {"model": "1"})) == "bc"
    assert names(still_to_do(images, masks, {"model": "2"})) == "abc"


def test_masks_overwrite_masks_of_ours_and_nothing_else(images, tmp_path):
    masks = tmp_path / "masks"
    done(masks, "a")
    still_to_do(images, masks, {})
    Image.new("P", (4, 4)).save(masks / "sub" / "b.png")
    with pytest.raises(InputError, match="b.png would be overwritten by a mask; set --output_dir to another folder"):
        still_to_do(images, masks, {})


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
