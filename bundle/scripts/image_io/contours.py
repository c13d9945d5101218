# SPDX-License-Identifier: Apache-2.0

"""Outlines of the objects in a mask, as polygons."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.measure import approximate_polygon, find_contours, label, regionprops

from .pictures import PALETTE

__all__ = ["geojson", "polygons"]

Ring = list[list[float]]  # points [x, y]; the last point repeats the first one

_TOLERANCE = 0.3  # largest distance in pixels between an outline and its simplified form


def polygons(mask: NDArray[np.bool_]) -> list[list[Ring]]:
    """Outline the objects of a mask. An object is a connected area of the mask.

    Args:
        mask: (H, W) bool, true inside the objects.

    Returns:
        A list of rings for every object: first the outline, then the outlines of its holes. The points are in pixels,
        x to the right and y down, and (0, 0) is the upper left corner of the upper left pixel.
    """
    outlines = []
    for region in regionprops(label(mask, connectivity=1)):
        top, left = region.bbox[:2]
        rings = []
        for contour in find_contours(np.pad(region.image, 1).astype(np.uint8), 0.5, fully_connected="low"):
            points = approximate_polygon(contour, _TOLERANCE)
            # Subtract 0.5: the padding has shifted the points by 1 pixel, and (0, 0) is to be the corner of a pixel
            # instead of its middle, which adds half a pixel.
            rings.append([[float(x + left - 0.5), float(y + top - 0.5)] for y, x in points])
        outlines.append(sorted(rings, key=_extent, reverse=True))
    return outlines


def geojson(ids: NDArray[np.uint8]) -> dict[str, Any]:
    """Return the objects of a mask as GeoJSON, in pixels. QuPath reads them as annotations.

    Args:
        ids: (H, W) uint8 label ids, 0 for the background.

    Returns:
        A ``FeatureCollection`` with one polygon for every object.
    """
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": rings},
            "properties": {
                "objectType": "annotation",
                "classification": {"name": f"class {number}", "color": PALETTE[number].tolist()},
            },
        }
        for number in np.unique(ids[ids > 0]).tolist()
        for rings in polygons(ids == number)
    ]
    return {"type": "FeatureCollection", "features": features}


def _extent(ring: Ring) -> float:
    """Return the area of the box around a ring. Of the rings of an object, the outline has the largest box."""
    points = np.array(ring)
    return float(np.prod(np.ptp(points, axis=0)))
