# SPDX-License-Identifier: Apache-2.0

"""Outlines of the objects in a mask, as polygons."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.measure import approximate_polygon, find_contours, label, regionprops

from .pictures import PALETTE

__all__ = ["geojson", "polygons"]

Ring = list[list[float]]  # [x, y], the first point again at the end

_TOLERANCE = 0.3  # pixels that a simplified outline may be off


def polygons(mask: NDArray[np.bool_]) -> list[list[Ring]]:
    """Outline the objects of a mask, which are its connected areas.

    Args:
        mask: (H, W).

    Returns:
        Of each object its rings, the outline first and then its holes; x to the right and y down in pixels from the
        upper left corner of the upper left pixel.
    """
    found = []
    for region in regionprops(label(mask, connectivity=1)):
        top, left = region.bbox[:2]
        rings = []
        for contour in find_contours(np.pad(region.image, 1).astype(np.uint8), 0.5, fully_connected="low"):
            points = approximate_polygon(contour, _TOLERANCE)
            # half a pixel from the middle of a pixel to its corner, and the pixel of padding
            rings.append([[float(x + left - 0.5), float(y + top - 0.5)] for y, x in points])
        found.append(sorted(rings, key=_extent, reverse=True))
    return found


def geojson(ids: NDArray[np.uint8]) -> dict[str, Any]:
    """The objects of a mask as GeoJSON, in pixels; QuPath reads them as annotations.

    Args:
        ids: (H, W) label ids.
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
    """Area of the box around a ring: the largest is that of the outline."""
    points = np.array(ring)
    return float(np.prod(np.ptp(points, axis=0)))
