# SPDX-License-Identifier: Apache-2.0

"""The datastore: a folder of images, with their labels in its folder ``labels/``.

The folder and its index file may come from anyone, and so may images and labels that clients send. Nothing is written
or removed outside the folder, neither by a path nor through a link.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from monailabel.datastore.local import LocalDatastore
from monailabel.interfaces.exception import ImageNotFoundException, LabelNotFoundException

from scripts.common.errors import InputError
from scripts.image_io.formats.registry import format_of

from .client_values import checked_name, checked_tag, known_suffix, merged_facts
from .labels import EXTENSIONS, IMAGE_SUFFIXES, SENT_SUFFIXES, check_label
from .model import TrainedModel

__all__ = ["Studies"]

logger = logging.getLogger(__name__)

# What the datastore itself writes. A link in its place would lead the writing elsewhere.
_OWN_PLACES = ("datastore_v2.json", ".lock", "labels", "labels/final", "labels/original")


class Studies(LocalDatastore):
    """The datastore of a folder. It finds images of all formats that the bundle reads.

    Links that lead out of the folder are followed to read images, as DVC and git-annex keep them. They are never
    followed to write or to remove: then the link itself is replaced or removed.

    Args:
        folder: folder of the images.
        model: model whose classes the labels have.

    Raises:
        InputError: if the datastore's own files and folders are links that lead out of the folder.
    """

    def __init__(self, folder: str, model: TrainedModel) -> None:
        self.model = model
        self.folder = Path(folder).resolve()
        for place in _OWN_PLACES:
            target = (self.folder / place).resolve()
            if not target.is_relative_to(self.folder):
                raise InputError(
                    f"{self.folder / place} is a link that leads to {target}, outside of the folder of images, where "
                    "nothing is written; put a real file or folder in its place"
                )
        super().__init__(folder, extensions=EXTENSIONS, auto_reload=True)

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Add an image, or replace it.

        Args:
            image_id: name of the image, without suffix.
            image_filename: path of the file, which is copied.
            image_info: facts about the image.

        Raises:
            InputError: if the name is no name of a file, or if the file is no image.
        """
        suffix = known_suffix(image_filename, IMAGE_SUFFIXES)
        checked_name(image_id, "image", suffix)
        with format_of(image_filename).open(image_filename) as image:
            if image.pages == 0:
                raise InputError(f"{Path(image_filename).name} holds no image; send another file")
        _cut_link(self.folder / f"{image_id}{suffix}")
        return super().add_image(image_id, image_filename, image_info)

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Store a label of an image, or replace it.

        Args:
            image_id: name of the image.
            label_filename: path of the label, which is copied.
            label_tag: "final" or "original".
            label_info: facts about the label.

        Raises:
            InputError: if the label cannot be read, has another size than its image, or has ids that are no class.
        """
        checked_tag(label_tag)
        suffix = known_suffix(label_filename, SENT_SUFFIXES)
        checked_name(image_id, "image", suffix)
        image = self.get_image_uri(image_id)
        if not os.path.isfile(image):
            raise ImageNotFoundException(f"there is no image {image_id!r} in the folder of images")
        check_label(label_filename, image, self.model.labels)
        _cut_link(self.folder / "labels" / label_tag / f"{image_id}{suffix}")
        return super().save_label(image_id, label_filename, label_tag, label_info)

    def remove_image(self, image_id: str) -> None:
        """Remove an image and its labels. Of an image that is a link, only the link is removed."""
        image = self._datastore.objects.get(image_id)
        if image is not None:
            _cut_link(self.folder / f"{image_id}{image.image.ext}")
        super().remove_image(image_id)

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Remove a label. Of a label that is a link, only the link is removed."""
        label = self._datastore.label(label_id, label_tag)
        if label is None:
            raise LabelNotFoundException(f"there is no label {label_id!r} with the tag {label_tag!r}")
        _cut_link(self.folder / "labels" / label_tag / f"{label_id}{label.ext}")
        super().remove_label(label_id, label_tag)

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        """Add facts to those of an image, unless they become too many."""
        image = self._datastore.objects.get(image_id)
        super().update_image_info(image_id, info if image is None else merged_facts(image.image.info, info))

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        """Add facts to those of a label, unless they become too many."""
        label = self._datastore.label(label_id, label_tag)
        super().update_label_info(label_id, label_tag, info if label is None else merged_facts(label.info, info))

    def datalist(self, full_path: bool = True) -> list[dict[str, Any]]:
        """Return the paths of images and final labels, without labels that are links leading out of the folder."""
        return [pair for pair in super().datalist(full_path) if self.is_inside(self.folder / pair["label"])]

    def is_inside(self, path: str | Path) -> bool:
        """Return whether a path, with all links followed, lies in the folder."""
        return Path(path).resolve().is_relative_to(self.folder)

    def _init_from_datastore_file(self, throw_exception: bool = False) -> None:
        """Read the index file, if it has changed, and leave out entries that are paths to other places."""
        before = self._config_ts
        super()._init_from_datastore_file(throw_exception)
        if self._config_ts == before:
            return
        store = self._datastore
        store.images_dir, store.labels_dir = ".", "labels"
        for name, entry in list(store.objects.items()):
            if not _is_file_name(name, entry.image.ext):
                logger.warning(f"left out: the image {name!r} in {self._datastore_config_path}, which is a path")
                del store.objects[name]
                continue
            entry.labels = {
                tag: label
                for tag, label in entry.labels.items()
                if _is_file_name(tag) and _is_file_name(name, label.ext)
            }


def _is_file_name(name: str, suffix: str = "") -> bool:
    try:
        checked_name(name + suffix, "name")
    except InputError:
        return False
    return not suffix or suffix.lower() in SENT_SUFFIXES


def _cut_link(path: Path) -> None:
    """Remove a symbolic or hard link, so that writing or removing the file leaves the other place as it is."""
    if path.is_symlink() or (path.is_file() and path.stat().st_nlink > 1):
        path.unlink()
