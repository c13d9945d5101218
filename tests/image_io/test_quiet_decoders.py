# SPDX-License-Identifier: Apache-2.0

"""Libraries that decode images neither log nor warn; all else is heard as ever."""

from __future__ import annotations

import logging
import warnings

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

import images
from scripts.image_io.quiet_decoders import leave_out

DECODERS = ("PIL", "tifffile", "nibabel.global", "pydicom")


@pytest.fixture(autouse=True)
def as_they_were():
    """Readers of other tests have silenced the decoders of this process; warnings are put back by pytest."""
    loggers = {name: logging.getLogger(name) for name in DECODERS}
    levels = {name: logger.level for name, logger in loggers.items()}
    for logger in loggers.values():
        logger.setLevel(logging.NOTSET)
    yield
    for name, level in levels.items():
        loggers[name].setLevel(level)


def warned(module: str, category: type[Warning] = UserWarning) -> bool:
    """Whether a warning of a module is heard, which is an error in these tests."""
    try:
        warnings.warn_explicit("something", category, "a.py", 1, module=module)
    except category:
        return True
    return False


@pytest.mark.parametrize("name", [*DECODERS, "PIL.PngImagePlugin"])
def test_decoders_log_no_more(name, caplog):
    logger = logging.getLogger(name)
    logger.error("before")
    leave_out()
    logger.warning("a warning")
    logger.error("an error")
    assert caplog.messages == ["before"]


@pytest.mark.parametrize("name", ["", "qtseg", "nibabel", "mlflow", "pydicomatic"])
def test_other_loggers_stay_as_they_are(name, caplog):
    leave_out()
    logging.getLogger(name).warning("a warning")
    assert caplog.messages == ["a warning"]


@pytest.mark.parametrize("module", ["PIL", "PIL.Image", "nibabel.nifti1", "pydicom.pixels.utils", "tifffile", "png"])
def test_decoders_warn_no_more(module):
    assert warned(module) and warned(module, Image.DecompressionBombWarning)
    leave_out()
    assert not warned(module) and not warned(module, Image.DecompressionBombWarning)


@pytest.mark.parametrize("module", ["PILLOW", "pngs.a", "scripts.image_io.png", "monai.data.image_reader"])
def test_other_modules_warn_as_ever(module):
    leave_out()
    assert warned(module)


def test_what_decoders_really_say_of_a_sound_file(tmp_path, monkeypatch, caplog):
    volume = nib.Nifti1Image(np.zeros((4, 3, 2), np.uint8), np.eye(4))
    volume.header["pixdim"][1] = -1
    nib.save(volume, tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[80:84] = np.float32(-1).tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    images.save(tmp_path / "a.png", images.marked())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", images.HEIGHT * images.WIDTH - 1)
    nib.load(tmp_path / "a.nii")
    assert caplog.messages
    with pytest.raises(Image.DecompressionBombWarning):
        images.opened(tmp_path / "a.png")
    caplog.clear()
    leave_out()
    nib.load(tmp_path / "a.nii")
    np.testing.assert_array_equal(images.opened(tmp_path / "a.png"), images.marked())
    assert caplog.messages == []


def test_errors_are_raised_as_ever(tmp_path):
    leave_out()
    (tmp_path / "a.png").write_bytes(b"text")
    with pytest.raises(Image.UnidentifiedImageError):
        images.opened(tmp_path / "a.png")


def test_calling_it_again_changes_nothing():
    leave_out()
    once = [*warnings.filters]
    leave_out()
    assert warnings.filters == once
