# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
from PIL import Image

from scripts.image_io.pictures import PALETTE, draw_overlay, draw_panel, save_palette


def test_saved_masks_are_palette_png_with_label_ids(tmp_path):
    ids = np.zeros((5, 9), np.uint8)
    ids[0, 8], ids[4, 0] = 1, 200
    save_palette(ids, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as mask:
        assert mask.mode == "P" and mask.size == (9, 5)
        assert np.array_equal(np.asarray(mask), ids)
        colors = np.asarray(mask.convert("RGB"))
    assert colors[0, 8].tolist() == PALETTE[1].tolist() and colors[4, 0].tolist() == PALETTE[200].tolist()


def test_palette_colors_differ_from_background_and_each_other():
    assert PALETTE[0].tolist() == [0, 0, 0]
    assert len({tuple(color) for color in PALETTE.tolist()}) == 256


def test_overlay_changes_labeled_pixels_only():
    image = np.linspace(0, 1, 3 * 20 * 30).reshape(3, 20, 30)
    ids = np.zeros((20, 30), int)
    ids[5:15, 10:20] = 2
    plain, overlay = draw_overlay(image, np.zeros_like(ids)), draw_overlay(image, ids)
    assert overlay.shape == (20, 30, 3) and overlay.dtype == np.uint8
    assert np.array_equal((overlay != plain).any(-1), ids > 0)
    assert overlay[5, 10].tolist() == PALETTE[2].tolist()  # the outline is opaque


def test_panel_has_a_row_an_example_and_three_columns():
    image, ids = np.zeros((1, 10, 20)), np.zeros((10, 20), int)
    ids[:5] = 1
    smaller = (np.zeros((1, 6, 8)), ids[:6, :8], ids[:6, :8])
    panel = draw_panel([(image, ids, ids), (image, ids, 0 * ids), smaller], gap=2)
    assert panel.size == (3 * 22, 2 * 12 + 8)
    pixels = np.asarray(panel)
    assert pixels[4, 5].tolist() == [0, 0, 0]  # the image
    assert pixels[4, 27].tolist() == pixels[4, 49].tolist() == PALETTE[1].tolist()  # outlines of label and prediction
    assert pixels[16, 49].tolist() == [0, 0, 0]  # the second prediction is empty
    assert pixels[28, 12].tolist() == PALETTE[1].tolist() and (pixels[24:, 3 * 10 :] == 255).all()  # white beside it
