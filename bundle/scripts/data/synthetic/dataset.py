# SPDX-License-Identifier: Apache-2.0

"""Write a small synthetic microscopy dataset, so that a training can run without real data."""

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
from ...common.files import load_json, write_json
from .drawing import DRAWING_VERSION, MODALITIES, draw

__all__ = ["make_dataset", "otsu_dice"]

MANIFEST = "synthetic_manifest.json"
FOLDERS = ("images", "masks")
README = """ALL IMAGES IN THIS FOLDER ARE SYNTHETIC

A program of this bundle (scripts/data/synthetic) drew every image; none shows a real specimen. The set is for trying
the bundle out. It supports no claim, neither about accuracy on real images nor against other methods.

images/*.png  8-bit, grey (fluorescence) or RGB (stained)
masks/*.png   8-bit, 255 inside any nucleus, 0 elsewhere
"""


def make_dataset(root: str | os.PathLike[str], *, num_images: int = 48, seed: int = 0) -> Path:
    """Write the synthetic set to ``root``, or reuse the set in ``root`` if it was made with the same arguments.

    ``root/images/*.png`` and ``root/masks/*.png`` have the same file names. In sorted order the modalities alternate,
    so that contiguous folds hold both. Pixels depend only on ``seed`` and on library versions. Several processes may
    call this function at the same time.

    Args:
        root: path of a folder that is new, empty, or holds an earlier set. Files that are not part of a set are never
            changed.
        num_images: number of images, at least 10, so that each of five folds holds both modalities.
        seed: seed of the random numbers, at least 0.

    Returns:
        ``root`` as a path.

    Raises:
        InputError: if an argument is too small, or if ``root`` is a file or holds anything that is not part of a set.

    Example:
        >>> root = make_dataset("synthetic", num_images=10)
        >>> sorted(path.name for path in (root / "images").iterdir())[:2]
        ['00000_fluorescence.png', '00001_stained.png']
    """
    if num_images < 10 or seed < 0:
        raise InputError(f"num_images is {num_images}, seed is {seed}; use 10 or more images and a seed of 0 or more.")
    folder = Path(root).resolve()
    settings = {"version": DRAWING_VERSION, "num_images": num_images, "seed": seed}
    if not _is_complete(folder, settings):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
            staged = Path(temporary) / folder.name
            _write(staged, settings)
            # If another process was faster, its set stays.
            if not _is_complete(folder, settings):
                _install(staged, folder)
    return Path(root)


def otsu_dice(pairs: Iterable[tuple[str | os.PathLike[str], str | os.PathLike[str]]]) -> float:
    """Compute the mean Dice of Otsu's threshold, the baseline that a trained network has to beat.

    The baseline gets an advantage: of bright and dark foreground, each image counts with the better one.

    Args:
        pairs: paths of an image (grey or RGB) and of its mask (nonzero is foreground) of the same size.

    Returns:
        Mean Dice over the images, from 0 to 1.

    Raises:
        InputError: if ``pairs`` is empty.
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
    """Return the paths of all files below ``folder``, relative to it, and its manifest.

    Raises:
        InputError: if ``folder`` is a file, or holds anything that is not part of a set.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; name a new or empty folder for the synthetic set.")
    # List files first. If another process installs a set in between, the manifest that is read later names its files.
    paths = (path for pattern in ("*", *(f"{name}/*" for name in FOLDERS)) for path in folder.glob(pattern))
    names = {path.relative_to(folder).as_posix() for path in paths}
    manifest = _manifest(folder)
    expected = {MANIFEST, *FOLDERS, *manifest["files"]}
    foreign = sorted(name for name in names - expected if (folder / name).exists())
    if foreign:
        raise InputError(
            f"{folder} holds {foreign[0]!r}, which is not part of the synthetic set ({len(foreign)} such files); "
            "name a new or empty folder, or move these files elsewhere."
        )
    return names, manifest


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        return {"files": {}}
    try:
        return load_json(path)
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}); remove the folder {folder} to draw the set again") from error


def _is_complete(folder: Path, settings: dict[str, int]) -> bool:
    names, manifest = _inventory(folder)
    files = manifest.pop("files")
    return manifest == settings and names.issuperset(files) and all(_digest(folder / f) == files[f] for f in files)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write(folder: Path, settings: dict[str, int]) -> None:
    for name in FOLDERS:
        (folder / name).mkdir(parents=True)
    (folder / "README.txt").write_text(README)
    for index in range(settings["num_images"]):
        modality = MODALITIES[index % len(MODALITIES)]
        # Each image has its own generator, so that it does not depend on the size of the set.
        drawing = draw(np.random.default_rng([settings["seed"], index]), modality)
        for kind, pixels in zip(FOLDERS, (drawing.image, img_as_ubyte(drawing.mask))):
            imsave(folder / kind / f"{index:05d}_{modality}.png", pixels, check_contrast=False)
    files = {path.relative_to(folder).as_posix(): _digest(path) for path in sorted(folder.rglob("*.*"))}
    write_json(folder / MANIFEST, {**settings, "files": files})


def _install(staged: Path, folder: Path) -> None:
    try:
        staged.rename(folder)
    except OSError:
        # The folder is in use: replace file by file. Equal arguments give equal bytes, so another process that reads
        # such a set at the same time always finds it complete. The manifest comes first, so that it names all files
        # even if the replacement is interrupted.
        names, _ = _inventory(folder)
        files = [path.relative_to(staged).as_posix() for path in staged.rglob("*.*")]
        for stale in names.difference(files, FOLDERS):
            (folder / stale).unlink(missing_ok=True)
        for name in FOLDERS:
            (folder / name).mkdir(exist_ok=True)
        for name in sorted(files, key=lambda name: name != MANIFEST):
            os.replace(staged / name, folder / name)
