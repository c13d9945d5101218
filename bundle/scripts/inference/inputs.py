# SPDX-License-Identifier: Apache-2.0

"""Images to segment: a folder with all below it, a list of files, or one file."""

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
from ..common.files import given_path, given_text
from ..data.layouts.files import Item, first_names, is_image, is_visible
from ..image_io.formats import format_named, format_of, has_image_suffix, stem
from ..image_io.mask_files import MASK_FORMATS, PNG_MASK, MaskFormat
from ..image_io.mask_marks import read_mark
from ..image_io.quiet_decoders import leave_out

__all__ = ["images_to_segment"]

_logger = logging.getLogger("qtseg")

_EXPECTED = """
  a folder (all images below it), one image, or a list:
  a .txt file with a path a line, or a .csv file with a column image"""
_LISTS = (".txt", ".csv")
_LABELS = ("masks", "labels")  # beside images/: those of a dataset to train on
_OF_MONAI_LABEL = "datastore_v2.json"  # beside labels/: those that somebody has drawn


def images_to_segment(dataset_dir: str | PathLike[str] | None, *, output_dir: str | PathLike[str]) -> list[Item]:
    """Find the images, and name the masks that they will have.

    A mask is named by its image's path below the folder (of a list: below the folder that all have in common), with
    ``.png`` for the suffix, or for a volume that of its format's masks, such as ``.nii.gz``; where two images would
    share a name, for example ``a.png`` and ``a.jpg``, their suffixes stay (``a.jpg.png``). Of a folder, hidden files
    and what lies in ``output_dir``, in ``masks/`` or ``labels/`` beside ``images/``, or in ``labels/`` of MONAI Label
    are left out. So are files of other kinds, files that hold no image, as some of DICOM do, and what an inference has
    made; the log counts them. Links to folders are followed once.

    Args:
        dataset_dir: a folder, an image, or a list of images.
        output_dir: folder that the masks are for.

    Returns:
        ``{"image": path, "mask": name}`` in the order of the names; a name is a path relative to ``output_dir``.

    Raises:
        InputError: if nothing is there, a list cannot be read or names what is not there, or masks would lie among the
            images.
    """
    leave_out()
    if dataset_dir is None:  # what a config says where the user has said nothing
        raise InputError(f"dataset_dir is not set; give --dataset_dir{_EXPECTED}")
    source = given_path(dataset_dir)
    if not os.path.exists(source):
        raise InputError(f"{source} does not exist; give --dataset_dir{_EXPECTED}")
    if source.is_dir():
        base = source / "images" if _is_dataset(source) else source
        if os.path.realpath(base) == os.path.realpath(output_dir):
            raise InputError(f"{output_dir} is the folder of the images; set --output_dir to another for the masks")
        found = list(_files_below(base, Path(str(output_dir))))
        files = sorted(file for file, is_one in found if is_one)
        _log_left_out(source, sorted(file for file, is_one in found if not is_one), "not an image of a known format")
    elif not os.path.isfile(source):
        raise InputError(f"{source} is a pipe, a socket or a device; give --dataset_dir{_EXPECTED}")
    elif source.suffix.lower() in _LISTS:
        files = list(dict.fromkeys(_listed(source)))
        base = Path(os.path.commonpath([file.parent for file in files]))
    else:
        files, base = [source], source.parent
    with ThreadPoolExecutor(8) as pool:  # a network drive takes its time to open one
        if source.is_dir():
            made = list(pool.map(_made_by_inference, files))
            _log_left_out(source, [file for file, each in zip(files, made) if each], "made by an inference")
            files = [file for file, each in zip(files, made) if not each]
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


def _made_by_inference(file: Path) -> bool:
    return file.name.endswith(tuple(kind.suffix for kind in MASK_FORMATS)) and read_mark(file) is not None


def _files_below(base: Path, output_dir: Path) -> Iterator[tuple[Path, bool]]:
    """Visible files in a folder and all below it, and whether each is an image."""

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be opened: {error.strerror}; allow it, or move it away") from error

    seen = {os.path.realpath(output_dir)}
    for folder, inner, names in os.walk(base, followlinks=True, onerror=refuse):
        if os.path.realpath(folder) in seen:  # a link that leads back, or our own masks
            inner.clear()
            continue
        seen.add(os.path.realpath(folder))
        here = Path(folder)
        labels = _LABELS if _is_dataset(here) or (here / _OF_MONAI_LABEL).is_file() else ()
        inner[:] = sorted(name for name in inner if is_visible(here / name) and name not in labels)
        visible = [here / name for name in names if is_visible(here / name)]
        yield from ((file, is_image(file) or _is_image_by_content(file)) for file in visible)


def _is_image_by_content(path: Path) -> bool:
    """Whether a file of an unknown name is of a format whose files often have no suffix."""
    try:
        return os.path.isfile(path) and format_of(path).may_lack_suffix
    except InputError:  # of another format, or not to be read by us
        return False


def _listed(path: Path) -> list[Path]:
    try:
        text = given_text(path)
        is_table = path.suffix.lower() == ".csv"
        lines = _column(path, csv.DictReader(io.StringIO(text, newline=""))) if is_table else text.split("\n")
    except (OSError, csv.Error) as error:
        raise InputError(f"{path} cannot be read ({error}); give --dataset_dir{_EXPECTED}") from error
    entries = [line for line in lines if line.strip()]
    files = [_file(path.parent, entry) for entry in entries]
    if not is_table:  # may have remarks
        is_remark = [entry.lstrip().startswith("#") and not os.path.isfile(file) for file, entry in zip(files, entries)]
        files = [file for file, each in zip(files, is_remark) if not each]
    if not files:
        raise InputError(f"{path} lists no image; give --dataset_dir{_EXPECTED}")
    missing = [str(file) for file in files if not os.path.isfile(file)]
    if missing:
        raise InputError(f"{path} lists {missing[0]}, which is not there ({len(missing)} such line(s)); mend the list")
    return files


def _file(folder: Path, entry: str) -> Path:
    """The file that a line names, blanks around it being a part of the name only where there is such a file."""
    exact, trimmed = (Path(os.path.abspath(folder / given_path(name))) for name in (entry, entry.strip()))
    return exact if os.path.isfile(exact) else trimmed


def _column(path: Path, table: csv.DictReader[str]) -> list[str]:
    if "image" not in (table.fieldnames or []):
        raise InputError(f"{path} has no column image; its columns are {', '.join(table.fieldnames or [])}")
    return [row["image"] or "" for row in table]


def _mask_format(file: Path) -> MaskFormat | None:
    """What an image's mask is saved as; None for a file that holds no image."""
    named = format_named(file)
    if named is not None and (named.is_volume or not named.may_have_pages):  # no need to open it
        return named.mask_of(1)
    try:
        format_ = format_of(file)
        with format_.open(str(file)) as opened:
            return format_.mask_of(opened.pages) if opened.pages else None
    except InputError:  # reading it will say so
        return PNG_MASK


def _mask_names(files: Sequence[PurePath], suffixes: Sequence[str]) -> list[str]:
    """Names that differ, from folders of masks too, in any case of their letters, which some file systems ignore."""
    names = [
        file.with_name((stem(file) if has_image_suffix(file) else file.name) + suffix).as_posix()
        for file, suffix in zip(files, suffixes)
    ]
    whole = [f"{file.as_posix()}{suffix}" for file, suffix in zip(files, suffixes)]
    folders = {folder.as_posix().casefold() for file in files for folder in file.parents}
    while True:
        counts = Counter(name.casefold() for name in names) + Counter(folders)
        longer = [each if counts[name.casefold()] > 1 else name for each, name in zip(whole, names)]
        if longer == names:
            return names
        names = longer
