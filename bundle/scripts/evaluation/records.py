# SPDX-License-Identifier: Apache-2.0

"""Read the files that an evaluation writes beside its table of scores. What is wrong in one is told in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..common.files import read_json
from ..common.limits import MAX_CLASSES

__all__ = ["read_calibration", "read_data_check", "read_summary"]

_COUNT = {"type": "integer", "minimum": 0, "maximum": 2**53}
_SHARE = {"type": ["number", "null"], "minimum": 0, "maximum": 1}
_NUMBER = {"type": ["number", "null"]}
_TEXT = {"type": "string"}
_TEXT_OR_NULL = {"type": ["string", "null"]}
_LABEL = {"type": "integer", "minimum": 1, "maximum": MAX_CLASSES - 1}


def _object(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    """Return the schema of an object. ``required`` and ``optional`` are the schemas of its values by their names."""
    return {"type": "object", "required": list(required), "properties": {**required, **optional}}


def _by_name(values: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the schema of an object with values of one form under any names."""
    return {"type": "object", "additionalProperties": values, **more}


def _list(items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, **more}


_MEAN = {"mean": _NUMBER, "low": _NUMBER, "high": _NUMBER}
_SUMMARY = {
    "images": _TEXT,
    "num_images": _COUNT,
    "num_groups": _COUNT,
    "classes": _list(_object({"id": _LABEL, **dict.fromkeys(("images", "missed", "false_alarms", "empty"), _COUNT)})),
    "protocols": _list(
        _object({"protocol": _TEXT, "scores": _by_name(_object(_MEAN, classes=_list(_object(_MEAN))))}), minItems=1
    ),
    "protocol": _TEXT_OR_NULL,
    "run": _TEXT_OR_NULL,
}

_END = {"type": "number", "minimum": 0, "maximum": 1}
_BIN = {"low": _END, "high": _END, "count": _COUNT, "mean_probability": _SHARE, "frequency": _SHARE}
_CALIBRATION = _object(
    {
        "bins": _list(
            {
                **_object(_BIN),
                "if": {"properties": {"count": {"minimum": 1}}},
                "then": {"properties": dict.fromkeys(("mean_probability", "frequency"), {"type": "number"})},
            }
        ),
        "expected_calibration_error": _SHARE,
        "expected_calibration_error_above_first_bin": _SHARE,
    }
)

_SPREAD = _object(dict.fromkeys(("min", "lower", "median", "upper", "max"), {"type": "number"}))
_DATA_CHECK = _object(
    {
        "num_images": _COUNT,
        "num_near_duplicates": _COUNT,
        "problems": _list(_object({"kind": _TEXT, "text": _TEXT, "files": _list(_TEXT)})),
    },
    leaks=_list(_object({"fold": _COUNT, "num_groups": _COUNT, "groups": _list(_by_name(_TEXT))})),
    sizes=_by_name(_SPREAD, propertyNames={"enum": ["height", "width"]}),
    intensities=_by_name(_SPREAD, propertyNames={"enum": ["low", "high", "mean", "spread"]}),
    classes=_list(
        _object({"id": _LABEL, "share": _END, **dict.fromkeys(("images", "objects", "vanishing"), _COUNT)})
    ),
)

_CURE = "evaluate again"


def read_summary(folder: Path, *needed: str) -> dict[str, Any]:
    """Read ``summary.json``.

    Args:
        folder: folder of the evaluation.
        needed: names of the values that the caller reads, and that the file must have.

    Raises:
        InputError: if the file cannot be read, lacks a value, or has a value of another form.
    """
    return read_json(folder / "summary.json", cure=_CURE, schema={"required": needed, "properties": _SUMMARY})


def read_calibration(path: Path) -> dict[str, Any]:
    """Read ``calibration.json``.

    Args:
        path: path of the file.

    Raises:
        InputError: if the file cannot be read, or lacks what an evaluation writes.
    """
    return read_json(path, cure=_CURE, schema=_CALIBRATION)


def read_data_check(path: Path) -> dict[str, Any]:
    """Read ``data_check.json``, as an evaluation or a training wrote it.

    Args:
        path: path of the file.

    Raises:
        InputError: if the file cannot be read, or lacks what the check of the data writes.
    """
    return read_json(path, cure=_CURE, schema=_DATA_CHECK)
