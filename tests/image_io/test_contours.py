# SPDX-License-Identifier: Apache-2.0

"""Outlines lie on the edges of what they outline."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.draw import disk, polygon2mask

from scripts.image_io.contours import geojson, polygons


def area(ring: list[list[float]]) -> float:
    x, y = np.array(ring).T
    return abs(float(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1]))) / 2


def drawn(rings: list[list[list[float]]], shape: tuple[int, int]) -> np.ndarray:
    """Pixels whose middle is inside the first ring and outside of the others."""
    inside = [polygon2mask(shape, np.array(ring)[:, ::-1] - 0.5) for ring in rings]
    return inside[0] & ~np.any([*inside[1:], np.zeros(shape, bool)], axis=0)


def test_a_rectangle_is_outlined_from_corner_to_corner():
    mask = np.zeros((20, 30), bool)
    mask[5:12, 10:25] = True
    ((ring,),) = polygons(mask)
    points = np.array(ring)
    assert points.min(0).tolist() == [10, 5] and points.max(0).tolist() == [25, 12] and ring[0] == ring[-1]
    assert area(ring) == pytest.approx(7 * 15, abs=1)


def test_holes_and_several_objects():
    mask = np.zeros((80, 90), bool)
    mask[disk((30, 30), 20)] = True
    mask[disk((30, 34), 6)] = False
    mask[disk((60, 70), 9)] = True
    mask[0, 0] = mask[79, 89] = True  # at the edge
    found = polygons(mask)
    assert sorted(len(rings) for rings in found) == [1, 1, 1, 2]
    again = np.any([drawn(rings, mask.shape) for rings in found], axis=0)
    assert (again == mask).mean() > 0.999


def test_geojson_names_classes():
    ids = np.zeros((20, 20), np.uint8)
    ids[2:6, 2:6], ids[10:15, 10:15] = 1, 3
    collection = geojson(ids)
    names = [feature["properties"]["classification"]["name"] for feature in collection["features"]]
    assert collection["type"] == "FeatureCollection" and names == ["class 1", "class 3"]
    assert collection["features"][0]["geometry"]["type"] == "Polygon"
    assert geojson(np.zeros((4, 4), np.uint8))["features"] == []
