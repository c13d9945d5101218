# SPDX-License-Identifier: Apache-2.0

"""The inference task, which segments an image on request."""

from __future__ import annotations

import os
import tempfile
import time
from typing import Any

from fastapi import HTTPException
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType
from monailabel.utils.others.pathology import create_asap_annotations_xml, create_dsa_annotations_json

from scripts.common.errors import InputError
from scripts.image_io.formats.mask_files import NIFTI_MASK, PNG_MASK

from .labels import LABEL_SUFFIXES, annotations, write_label
from .model import TrainedModel

__all__ = ["Segment"]


class Segment(InferTask):
    """The task that answers a request with a mask in the requested format, and with polygons.

    Args:
        model: model that segments the image.
    """

    def __init__(self, model: TrainedModel) -> None:
        description = "masks and polygons of the bundle's trained model"
        super().__init__(InferType.SEGMENTATION, model.labels, dimension=2, description=description, config={})
        self.model = model

    def is_valid(self) -> bool:
        """Return whether there is a trained model."""
        return self.model.is_there

    def __call__(self, request: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """Segment an image.

        Args:
            request: values by name: ``image``, the path of the image; ``output``, which is "asap" or "dsa" for a file
                with polygons, or "json" for no file; ``result_extension``, the suffix of a mask file.

        Returns:
            The path of the file, which the server sends and deletes, or None; and the answer, which JSON can hold.
        """
        begin, image = time.monotonic(), request.get("image")
        if not image or not os.path.isfile(image):
            raise HTTPException(404, detail="no such image")
        try:
            ids, uncertainty = self.model(image)
        except InputError as error:
            raise HTTPException(422, detail=str(error)) from error
        labels = self.model.labels
        result: dict[str, Any] = {
            "name": f"QTSeg {self.model.version}",
            "description": self.description,
            "model": request.get("model"),
            "location": request.get("location"),
            "size": request.get("size"),
            "label_names": labels,
            "uncertainty": uncertainty,
            "annotations": [{"annotation": annotations(ids, labels)}] if ids.ndim == 2 else [],
            "latencies": {"total": round(time.monotonic() - begin, 3)},
        }
        output = request.get("output")
        if output == "asap":
            return create_asap_annotations_xml(result)[0], result
        if output == "dsa":
            return create_dsa_annotations_json(result)[0], result
        if output == "json":
            return None, result
        extension = request.get("result_extension") or (PNG_MASK if ids.ndim == 2 else NIFTI_MASK).suffix
        if extension not in LABEL_SUFFIXES:
            raise HTTPException(422, f"result_extension is {extension!r}; use one of {', '.join(LABEL_SUFFIXES)}")
        with tempfile.NamedTemporaryFile(suffix=extension, delete=False) as file:
            path = file.name
        try:
            write_label(ids, image, path)
        except BaseException as error:
            os.unlink(path)
            if isinstance(error, InputError):
                raise HTTPException(422, detail=str(error)) from error
            raise
        return path, result
