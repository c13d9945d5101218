# SPDX-License-Identifier: Apache-2.0

"""A small synthetic microscopy set, so that training runs before any real data is at hand."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.distance import dice
from skimage.filters import threshold_otsu
from skimage.io import imread, imsave
from skimage.util import img_as_ubyte

from ...common.errors import InputError
from ...common.files import given_json, write_json
from .drawing import DRAWING_VERSION, MODALITIES, draw

__all__ = ["make_dataset", "otsu_dice"]

MANIFEST = "synthetic_manifest.json"
FOLDERS = ("images", "masks")
README = """ALL IMAGES IN THIS FOLDER ARE SYNTHETIC

A program of this bundle (scripts/synthetic.py) drew every image; none shows a real specimen. The set is for trying
the bundle out. It supports no claim, neither about accuracy on real images nor against other methods.

images/*.png  8-bit, grey (fluorescence) or RGB (stained)
masks/*.png   8-bit, 255 inside any nucleus, 0 elsewhere
"""


def make_dataset(root: str | os.PathLike[str], *, num_images: int = 48, seed: int = 0) -> Path:
    """Write the set to ``root``, or reuse the one already there if it was made with the same arguments.

    ``root/images/*.png`` and ``root/masks/*.png`` share file names, whose sorted order alternates the modalities:
    contiguous folds hold both. Pixels depend on ``seed`` and library versions only. Processes may call it at once.

    Args:
        root: a folder that is new, empty, or holds an earlier set. Files of other origin are never touched.
        num_images: at least 10, so that each of five folds holds both modalities.
        seed: not negative.

    Returns:
        ``root`` as a path.

    Raises:
        InputError: if an argument is too small, or if ``root`` is a file or holds anything that is not of the set.

    Example:
        >>> root = make_dataset("synthetic", num_images=10)
        >>> sorted(path.name for path in (root / "images").iterdir())[:2]
        ['00000_fluorescence.png', '00001_stained.png']
    """
    if num_images < 10 or seed < 0:
        raise InputError(f"num_images is {num_images}, seed is {seed}; use 10 or more images and a seed of 0 or more.")
    folder = Path(root).resolve()
    wanted = {"version": DRAWING_VERSION, "num_images": num_images, "seed": seed}
    if not _is_complete(folder, wanted):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
            staged = Path(temporary) / folder.name
            _write(staged, wanted)
            # Another process may have been faster; then its set stays.
            if not _is_complete(folder, wanted):
                _install(staged, folder)
    return Path(root)


def otsu_dice(pairs: Iterable[tuple[str | os.PathLike[str], str | os.PathLike[str]]]) -> float:
    """Mean Dice of Otsu's threshold, the baseline that a trained network has to beat.

    Generous to the baseline: each image counts with the better of its two polarities.

    Args:
        pairs: paths of an image (grey or RGB) and of its mask (nonzero is foreground), of equal size.

    Raises:
        InputError: if there are no pairs.
    """
    scores = []
    for image_path, mask_path in pairs:
        image, mask = imread(image_path, as_gray=True), imread(mask_path).ravel() > 0
        bright = image.ravel() > threshold_otsu(image)
        scores.append(1 - min(dice(bright, mask), dice(~bright, mask)))
    if not scores:
        raise InputError("pairs is empty; give at least one (image path, mask path).")
    return float(np.mean(scores))


def _inventory(folder: Path) -> tuple[set[str], dict[str, Any]]:
    """Names below ``folder`` and its manifest, ``{}`` if it has none; refuses a folder that holds anything else."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; name a new or empty folder for the synthetic set.")
    # List first: a set that another process installs in between is then explained by the manifest read later.
    found = (path for pattern in ("*", *(f"{name}/*" for name in FOLDERS)) for path in folder.glob(pattern))
    names = {path.relative_to(folder).as_posix() for path in found}
    manifest = _manifest(folder)
    ours = {MANIFEST, *FOLDERS, *manifest["files"]}
    foreign = sorted(name for name in names - ours if (folder / name).exists())
    if foreign:
        raise InputError(
            f"{folder} holds {foreign[0]!r}, which is not of the synthetic set ({len(foreign)} such in all); "
            "name a new or empty folder, or move what is not of the set elsewhere."
        )
    return names, manifest


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        return {"files": {}}
    try:
        return given_json(path)
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}); remove the folder {folder}, it is drawn anew") from error


def _is_complete(folder: Path, wanted: dict[str, int]) -> bool:
    names, manifest = _inventory(folder)
    files = manifest.pop("files")
    return manifest == wanted and names.issuperset(files) and all(_digest(folder / f) == files[f] for f in files)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write(folder: Path, wanted: dict[str, int]) -> None:
    for name in FOLDERS:
        (folder / name).mkdir(parents=True)
    (folder / "README.txt").write_text(README)
    for index in range(wanted["num_images"]):
        modality = MODALITIES[index % len(MODALITIES)]
        # A generator for each image: it stays the same whatever the size of the set.
        drawing = draw(np.random.default_rng([wanted["seed"], index]), modality)
        for kind, pixels in zip(FOLDERS, (drawing.image, img_as_ubyte(drawing.mask))):
            imsave(folder / kind / f"{index:05d}_{modality}.png", pixels, check_contrast=False)
    files = {path.relative_to(folder).as_posix(): _digest(path) for path in sorted(folder.rglob("*.*"))}
    write_json(folder / MANIFEST, {**wanted, "files": files})


def _install(staged: Path, folder: Path) -> None:
    try:
        staged.rename(folder)
    except OSError:
        # The folder is in use: replace file by file. Equal calls write equal bytes, so whoever reads an equal set at
        # this moment misses nothing. The manifest leads, so that it explains whatever an interruption leaves behind.
        names, _ = _inventory(folder)
        files = [path.relative_to(staged).as_posix() for path in staged.rglob("*.*")]
        for stale in names.difference(files, FOLDERS):
            (folder / stale).unlink(missing_ok=True)
        for name in FOLDERS:
            (folder / name).mkdir(exist_ok=True)
        for name in sorted(files, key=lambda name: name != MANIFEST):
            os.replace(staged / name, folder / name)
