# SPDX-License-Identifier: Apache-2.0

"""Find the images to segment: those in a folder and its subfolders, those in a list of files, or a single image."""

from __future__ import annotations

import csv
import io
import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import PathLike
from pathlib import Path, PurePath

import ignite.distributed as idist

from ..common.errors import InputError
from ..common.files import load_text, user_path
from ..data.layouts.files import Item, first_names, is_image, is_visible
from ..image_io.formats.mask_files import MASK_FORMATS, PNG_MASK, MaskFormat
from ..image_io.formats.registry import format_named, format_of, has_image_suffix, stem
from ..image_io.mask_marks import read_mark
from ..image_io.quiet_decoders import leave_out

__all__ = ["images_to_segment"]

_logger = logging.getLogger("qtseg")

_EXPECTED = """
  a folder (all images below it), one image, or a list:
  a .txt file with a path a line, or a .csv file with a column image"""
_LISTS = (".txt", ".csv")
_LABELS = ("masks", "labels")  # beside images/, these folders hold the masks of a dataset for training
_OF_MONAI_LABEL = "datastore_v2.json"  # beside this file of MONAI Label, labels/ holds the masks that people have drawn


def images_to_segment(dataset_dir: str | PathLike[str] | None, *, output_dir: str | PathLike[str]) -> list[Item]:
    """Find the images, and name their masks.

    The name of a mask is the path of its image relative to the folder, with the suffix ``.png``. For a list of images,
    the folder is the one that they have in common. The mask of a volume has the suffix of its mask's format, such as
    ``.nii.gz``. If two images would get the same name, such as ``a.png`` and ``a.jpg``, the suffixes of the images stay
    in the names (``a.jpg.png``).

    In a folder, these files are left out: hidden files, files in ``output_dir``, files in ``masks/`` or ``labels/``
    beside ``images/``, and files in ``labels/`` of MONAI Label. Left out, too, and counted in the log, are files of
    other formats, files that hold no image (such as some DICOM files), and files that an inference has written. Links
    to folders are followed once.

    Args:
        dataset_dir: path of a folder, of an image, or of a list of images.
        output_dir: path of the folder for the masks.

    Returns:
        Items ``{"image": path, "mask": name}``. A name is a path relative to ``output_dir``. The items of a folder are
        sorted by the path of the image, and those of a list keep its order.

    Raises:
        InputError: if there is no image, if a list cannot be read or names a missing file, or if the masks would lie
            among the images.
    """
    leave_out()
    if dataset_dir is None:  # the default in the configs
        raise InputError(f"dataset_dir is not set; give --dataset_dir{_EXPECTED}")
    source = user_path(dataset_dir)
    if not os.path.exists(source):
        raise InputError(f"{source} does not exist; give --dataset_dir{_EXPECTED}")
    if source.is_dir():
        base = source / "images" if _is_dataset(source) else source
        if os.path.realpath(base) == os.path.realpath(output_dir):
            raise InputError(f"{output_dir} is the folder of the images; set --output_dir to another for the masks")
        visible = list(_files_below(base, Path(str(output_dir))))
        files = sorted(file for file, is_image_file in visible if is_image_file)
        others = sorted(file for file, is_image_file in visible if not is_image_file)
        _log_left_out(source, others, "not an image of a known format")
    elif not os.path.isfile(source):
        raise InputError(f"{source} is a pipe, a socket or a device; give --dataset_dir{_EXPECTED}")
    elif source.suffix.lower() in _LISTS:
        files = list(dict.fromkeys(_listed(source)))
        base = Path(os.path.commonpath([file.parent for file in files]))
    else:
        files, base = [source], source.parent
    with ThreadPoolExecutor(8) as pool:  # a network drive opens files slowly, but several at a time
        if source.is_dir():
            is_output = list(pool.map(_is_from_inference, files))
            outputs = [file for file, is_from_inference in zip(files, is_output) if is_from_inference]
            _log_left_out(source, outputs, "made by an inference")
            files = [file for file, is_from_inference in zip(files, is_output) if not is_from_inference]
        kinds = list(pool.map(_mask_format, files))
    if source.is_dir():
        _log_left_out(source, [file for file, kind in zip(files, kinds) if not kind], "of a known format, but no image")
        files = [file for file, kind in zip(files, kinds) if kind]
        kinds = [kind for kind in kinds if kind]
    if not files:
        raise InputError(f"{source} holds no image; give --dataset_dir{_EXPECTED}")
    names = _mask_names([file.relative_to(base) for file in files], [(kind or PNG_MASK).suffix for kind in kinds])
    return [{"image": str(file), "mask": name} for file, name in zip(files, names)]


def _is_dataset(folder: Path) -> bool:
    return (folder / "images").is_dir() and any((folder / name).is_dir() for name in _LABELS)


def _log_left_out(source: Path, files: Sequence[Path], reason: str) -> None:
    if files and idist.get_rank() == 0:
        _logger.info(f"{source}: {len(files)} file(s) left out ({reason}): {first_names(files)}")


def _is_from_inference(file: Path) -> bool:
    return file.name.endswith(tuple(kind.suffix for kind in MASK_FORMATS)) and read_mark(file) is not None


def _files_below(base: Path, output_dir: Path) -> Iterator[tuple[Path, bool]]:
    """Yield the visible files in a folder and its subfolders, and for every file whether it is an image."""

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be opened: {error.strerror}; allow it, or move it away") from error

    visited = {os.path.realpath(output_dir)}
    for folder, inner, names in os.walk(base, followlinks=True, onerror=refuse):
        if os.path.realpath(folder) in visited:  # a link to a visited folder, or the folder of the masks
            inner.clear()
            continue
        visited.add(os.path.realpath(folder))
        here = Path(folder)
        labels = _LABELS if _is_dataset(here) or (here / _OF_MONAI_LABEL).is_file() else ()
        inner[:] = sorted(name for name in inner if is_visible(here / name) and name not in labels)
        visible = [here / name for name in names if is_visible(here / name)]
        yield from ((file, is_image(file) or _is_image_by_content(file)) for file in visible)


def _is_image_by_content(path: Path) -> bool:
    """Return whether a file with an unknown suffix has a format whose files often have no suffix."""
    try:
        return os.path.isfile(path) and format_of(path).may_lack_suffix
    except InputError:  # the file has another format, or cannot be read
        return False


def _listed(path: Path) -> list[Path]:
    """Read the paths of the images from a list, which is a text file or a CSV file."""
    try:
        text = load_text(path)
        is_table = path.suffix.lower() == ".csv"
        lines = _column(path, csv.DictReader(io.StringIO(text, newline=""))) if is_table else text.split("\n")
    except (OSError, csv.Error) as error:
        raise InputError(f"{path} cannot be read ({error}); give --dataset_dir{_EXPECTED}") from error
    entries = [line for line in lines if line.strip()]
    files = [_file(path.parent, entry) for entry in entries]
    if not is_table:  # a text file may have comments, and a file name may begin with # as well
        files = [
            file for file, entry in zip(files, entries) if os.path.isfile(file) or not entry.lstrip().startswith("#")
        ]
    if not files:
        raise InputError(f"{path} lists no image; give --dataset_dir{_EXPECTED}")
    missing = [str(file) for file in files if not os.path.isfile(file)]
    if missing:
        raise InputError(f"{path} lists {missing[0]}, which is not there ({len(missing)} such line(s)); mend the list")
    return files


def _file(folder: Path, entry: str) -> Path:
    """Return the path that a line of a list names. Blanks around it are removed, unless such a file exists."""
    exact, trimmed = (Path(os.path.abspath(folder / user_path(name))) for name in (entry, entry.strip()))
    return exact if os.path.isfile(exact) else trimmed


def _column(path: Path, table: csv.DictReader[str]) -> list[str]:
    if "image" not in (table.fieldnames or []):
        raise InputError(f"{path} has no column image; its columns are {', '.join(table.fieldnames or [])}")
    return [row["image"] or "" for row in table]


def _mask_format(file: Path) -> MaskFormat | None:
    """Return the format in which an image's mask is saved; None for a file that holds no image."""
    named = format_named(file)
    if named is not None and (named.is_volume or not named.may_have_pages):  # the number of pages does not matter
        return named.mask_of(1)
    try:
        format_ = format_of(file)
        with format_.open(str(file)) as opened:
            return format_.mask_of(opened.pages) if opened.pages else None
    except InputError:  # reading the image will report this error
        return PNG_MASK


def _mask_names(files: Sequence[PurePath], suffixes: Sequence[str]) -> list[str]:
    """Name the masks so that their names differ from each other and from the names of the folders of masks.

    Names that differ in upper and lower case only count as equal, as they are equal on some file systems.
    """
    names = [
        file.with_name((stem(file) if has_image_suffix(file) else file.name) + suffix).as_posix()
        for file, suffix in zip(files, suffixes)
    ]
    long_names = [f"{file.as_posix()}{suffix}" for file, suffix in zip(files, suffixes)]
    folders = {folder.as_posix().casefold() for file in files for folder in file.parents}
    while True:
        counts = Counter(name.casefold() for name in names) + Counter(folders)
        longer = [long if counts[name.casefold()] > 1 else name for long, name in zip(long_names, names)]
        if longer == names:
            return names
        names = longer
