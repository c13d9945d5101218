# SPDX-License-Identifier: Apache-2.0

"""What all routes share: who may use them, how much they take, and the files and values that clients send."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, File, Form, HTTPException, UploadFile
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC
from monailabel.interfaces.utils.app import app_instance

from scripts.common.errors import InputError

from .client_values import checked_name, known_suffix
from .labels import IMAGE_SUFFIXES
from .studies import Studies

__all__ = [
    "ADMIN",
    "ANNOTATOR",
    "MOST_IMAGE",
    "MOST_LABEL",
    "USER",
    "Text",
    "Upload",
    "Values",
    "image_file",
    "json_object",
    "new_router",
    "path_of",
    "sent_file",
    "studies",
]

MOST_IMAGE = 2**30  #: bytes of a request with an image
MOST_LABEL = 2**28  #: bytes of a request with a label; when a label is read, its image decides how large it may be
_MOST_VALUES = 2**20  # bytes of a request without a file
_FORM: Any = {"max_fields": 16, "max_files": 2, "max_part_size": _MOST_VALUES}

# Roles of users. MONAI Label asks for them only if its own login is set up.
USER = [Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))]
ANNOTATOR = [Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))]
ADMIN = [Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ADMIN))]

Values = Annotated[dict[str, Any] | None, Body()]
Text = Annotated[str, Form()]
Upload = Annotated[UploadFile | None, File()]


def new_router() -> APIRouter:
    """Return a router that takes small requests only, unless a route says otherwise.

    Viewers such as QuPath send JSON without its type. FastAPI refuses that by default, because web pages of other sites
    can send it too; these the guard refuses.
    """
    return APIRouter(strict_content_type=False, max_body_size=_MOST_VALUES, form_limits=_FORM)


def studies() -> Studies:
    """Return the datastore of the server."""
    return app_instance().datastore()


def json_object(text: str) -> dict[str, Any]:
    """Read a field of a form that holds a JSON object.

    Raises:
        InputError: if it holds anything else.
    """
    try:
        values = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise InputError(f"params or wsi is no JSON ({error}); send an object such as {{}}") from error
    if not isinstance(values, dict):
        raise InputError(f"params or wsi is {text[:80]!r}; send a JSON object such as {{}}")
    return values


def path_of(image: str) -> str:
    """Return the path of an image of the datastore.

    Raises:
        HTTPException: with status 404 if there is no such image.
    """
    path = str(studies().get_image_uri(checked_name(image, "image")))
    if not os.path.isfile(path):
        raise HTTPException(404, f"there is no image {image!r} in the folder of images")
    return path


@contextmanager
def image_file(image: str, file: UploadFile | None) -> Iterator[str]:
    """Yield the path of an image that is sent, or else of one in the datastore."""
    if file is not None and file.filename:
        with sent_file(file, IMAGE_SUFFIXES) as path:
            yield path
    else:
        yield path_of(image)


@contextmanager
def sent_file(file: UploadFile, suffixes: Sequence[str]) -> Iterator[str]:
    """Write a file that a client has sent into a temporary folder, under its own name, and yield its path."""
    name = (file.filename or "").replace("\\", "/").rpartition("/")[2]  # some viewers send the whole path
    suffix = known_suffix(name, suffixes)
    checked_name(name, "the file")
    with tempfile.TemporaryDirectory(prefix="qtseg_label_") as folder:
        path = os.path.join(folder, name[: len(name) - len(suffix)] + suffix)
        with open(path, "wb") as copy:
            while part := file.file.read(2**20):
                copy.write(part)
        yield path
