# SPDX-License-Identifier: Apache-2.0

"""The routes of the datastore: images, labels, and facts about them."""

from __future__ import annotations

import hmac
import os
from pathlib import Path
from typing import Annotated, Any

from fastapi import BackgroundTasks, File, HTTPException, Query, UploadFile
from fastapi.responses import FileResponse
from monailabel.endpoints import datastore
from monailabel.interfaces.utils.app import app_instance
from monailabel.utils.others.generic import file_checksum, get_mime_type, remove_file

from scripts.image_io.formats.registry import format_of

from .client_values import checked_facts, checked_name, checked_tag, known_suffix
from .labels import IMAGE_SUFFIXES, SENT_SUFFIXES
from .received import ADMIN, ANNOTATOR, MOST_IMAGE, MOST_LABEL, USER, Text, new_router, path_of, sent_file, studies

__all__ = ["router"]

router = new_router()


@router.get("/datastore/", dependencies=USER)
async def images_and_labels(output: datastore.ResultType | None = None) -> Any:
    """Return what is in the datastore."""
    return datastore.datastore(output)


@router.put("/datastore/", dependencies=ANNOTATOR, max_body_size=MOST_IMAGE)
@router.put("/datastore/image", dependencies=ANNOTATOR, max_body_size=MOST_IMAGE)
async def add_image(file: Annotated[UploadFile, File()], image: str = "", params: Text = "{}") -> dict[str, str]:
    """Add an image."""
    with sent_file(file, IMAGE_SUFFIXES) as path:
        name = image or Path(path).name.removesuffix(known_suffix(path, IMAGE_SUFFIXES))
        return {"image": studies().add_image(checked_name(name, "image"), path, checked_facts(params))}


@router.delete("/datastore/", dependencies=ADMIN)
@router.delete("/datastore/image", dependencies=ADMIN)
async def remove_image(id: str) -> dict[str, Any]:
    """Remove an image and its labels."""
    studies().remove_image(checked_name(id, "id"))
    return {}


@router.api_route("/datastore/image", methods=["GET", "HEAD"], dependencies=USER)
async def download_image(
    image: str,
    check_sum: Annotated[str, Query(pattern=r"^((SHA256|SHA512|MD5):)?[0-9a-fA-F]{32,128}$")] | None = None,
) -> FileResponse:
    """Send an image. A link that leads to a file of another kind is not followed."""
    path = path_of(image)
    format_of(path)
    if check_sum is not None:
        algorithm, _, digest = check_sum.rpartition(":")
        if not hmac.compare_digest(file_checksum(path, algorithm or "SHA256").rpartition(":")[2], digest.lower()):
            raise HTTPException(404, "the image has another checksum")
    return FileResponse(path, media_type=get_mime_type(path), filename=os.path.basename(path))


@router.get("/datastore/image/info", dependencies=USER)
async def image_facts(image: str) -> Any:
    """Return the facts about an image."""
    return studies().get_image_info(checked_name(image, "image"))


@router.put("/datastore/image/info", dependencies=ANNOTATOR)
async def add_image_facts(image: str, info: Text = "{}") -> None:
    """Add facts about an image."""
    studies().update_image_info(checked_name(image, "image"), checked_facts(info))


@router.put("/datastore/label", dependencies=ANNOTATOR, max_body_size=MOST_LABEL)
async def save_label(
    image: str, label: Annotated[UploadFile, File()], params: Text = "{}", tag: str = ""
) -> dict[str, Any]:
    """Store a label."""
    with sent_file(label, SENT_SUFFIXES) as path:
        name = checked_name(image, "image")
        label_id = studies().save_label(name, path, checked_tag(tag or "final"), checked_facts(params))
    return {**(app_instance().on_save_label(name, label_id) or {}), "image": name, "label": label_id}


@router.delete("/datastore/label", dependencies=ADMIN)
async def remove_label(id: str, tag: str) -> dict[str, Any]:
    """Remove a label."""
    studies().remove_label(checked_name(id, "id"), checked_tag(tag))
    return {}


@router.api_route("/datastore/label", methods=["GET", "HEAD"], dependencies=USER)
async def download_label(tag: str, label: str = "", image: str = "") -> FileResponse:
    """Send a label. A link that leads out of the folder is not followed."""
    path = studies().get_label_uri(checked_name(label or image, "label"), checked_tag(tag))
    if not os.path.isfile(path) or not studies().is_inside(path):
        raise HTTPException(404, f"there is no label {label or image!r} with the tag {tag!r} in the folder of images")
    return FileResponse(path, media_type=get_mime_type(path), filename=os.path.basename(path))


@router.get("/datastore/label/info", dependencies=USER)
async def label_facts(label: str, tag: str) -> Any:
    """Return the facts about a label."""
    return studies().get_label_info(checked_name(label, "label"), checked_tag(tag))


@router.put("/datastore/label/info", dependencies=ANNOTATOR)
async def add_label_facts(label: str, tag: str, info: Text = "{}") -> None:
    """Add facts about a label."""
    studies().update_label_info(checked_name(label, "label"), checked_tag(tag), checked_facts(info))


@router.put("/datastore/updatelabelinfo", dependencies=ANNOTATOR)
async def add_reviewed_facts(label: str, tag: str, params: Text = "{}") -> None:
    """Add facts about a label, as MONAI Label Reviewer sends them."""
    await add_label_facts(label, tag, params)


@router.get("/datastore/dataset", dependencies=ANNOTATOR)
async def download_dataset(background_tasks: BackgroundTasks, limit_cases: int | None = None) -> FileResponse:
    """Send a zip file of all labeled images and their labels."""
    if not studies().get_labeled_images():
        raise HTTPException(404, "no image has a final label")
    path = studies().get_dataset_archive(limit_cases)
    background_tasks.add_task(remove_file, path)
    return FileResponse(path, media_type="application/zip", filename="dataset.zip")
