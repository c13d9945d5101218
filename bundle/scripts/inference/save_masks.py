# SPDX-License-Identifier: Apache-2.0

"""Write what an inference finds: a mask an image, and pictures of it if wished for."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
from ignite.engine import Engine, Events
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from ..common.errors import InputError
from ..common.files import replacing, write_csv
from ..image_io.contours import geojson
from ..image_io.mask_files import mask_format
from ..image_io.mask_marks import mark, read_mark, was_changed
from ..image_io.pictures import TEXT_KEY, draw_overlay, save_png
from ..image_io.readers import ImageFileReader
from .output_folder import EVERYTHING, FAILED, other_files

__all__ = ["SaveMasks"]

_SHOWN = 10  # problems in the log

_logger = logging.getLogger("qtseg")


class SaveMasks:
    """Save each image's mask in the format that its name says; go on where an image cannot be read.

    The evaluator's batches must be of a :py:class:`.tolerant_dataset.TolerantDataset`, with ``"mask"``, the name of the
    mask in the folder; its outputs must have ``"pred"``, what :py:class:`..transforms.discretize.Decide` returns.
    A bar shows how many images a second are done.

    Args:
        output_dir: folder of the masks; ``failed.csv`` lists what could not be read.
        num_images: to be done by this process.
        max_pixels: of an image that an overlay is drawn on.
        out_channels: number of classes, the background counted.
        outputs: what else to save, of images but not of volumes, in a folder of its name. "overlays": pictures of the
            masks over the images. "contours": outlines of objects, GeoJSON. "probability_maps": of each foreground
            class, in a folder of its number, and "uncertainty_maps": entropy; 16-bit PNG, 65535 stands for 1.
    """

    def __init__(
        self,
        output_dir: str | os.PathLike,
        *,
        num_images: int,
        max_pixels: int,
        out_channels: int,
        outputs: Mapping[str, bool] | None = None,
    ) -> None:
        self.folder = Path(output_dir)
        self.num_images = num_images
        self.out_channels = out_channels
        self.outputs = outputs or {}
        self.reader = ImageFileReader(max_pixels=max_pixels)
        self.saved = 0
        self.failed: list[tuple[str, str]] = []
        self.start = time.monotonic()

    def attach(self, engine: Engine) -> None:
        """Register with an evaluator, whose postprocessing ends in label ids.

        Args:
            engine: the evaluator.
        """
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._save)
        engine.add_event_handler(Events.COMPLETED, lambda: self.bar.close())

    def _begin(self) -> None:
        self.start = time.monotonic()
        self.bar = tqdm(total=self.num_images, unit="image", delay=2, disable=idist.get_rank() > 0)

    def _save(self, engine: Engine) -> None:
        state: Any = engine.state  # of MONAI's evaluator: one dictionary an image, in batch and output
        for item, output in zip(state.batch, state.output):
            if item["problem"]:
                self.failed.append((item["source"], item["problem"]))
                self._remove_stale(item["mask"], item["made"])
            else:
                self._save_one(item, output["pred"].cpu().numpy())
                self.saved += 1
            self.bar.update()

    def _save_one(self, item: Mapping[str, str], decided: NDArray[Any]) -> None:
        source, name, ids = item["source"], item["mask"], decided[0].astype(np.uint8)
        self._remove_stale(name, item["made"])
        if ids.ndim == 3:  # (H, W, D)
            slices = np.ascontiguousarray(np.moveaxis(ids, -1, 0))
            with replacing(self.folder / name) as path:
                mask_format(name).write(slices, source, path, mark(item["made"], slices))
            return
        for kind, file in other_files(name, self.outputs, self.out_channels).items():
            with replacing(self.folder / file) as path:
                if kind == "contours":
                    _save_outlines(ids, path, item["made"])
                else:
                    pixels = self._draw(source, ids) if kind == "overlays" else _map(kind, decided)
                    save_png(Image.fromarray(pixels), path, mark(item["made"], pixels))
        # last, as an image counts as done with its mask
        with replacing(self.folder / name) as path:
            mask_format(name).write(ids, source, path, mark(item["made"], ids))

    def _draw(self, source: str, ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The mask over the image as it was, not as it was fitted and scaled."""
        image, _ = self.reader.get_data(self.reader.read(source))
        return draw_overlay(np.moveaxis(image, -1, 0), ids)

    def _remove_stale(self, mask: str, made: str) -> None:
        """What an inference has made of another image or by another model, and nobody has changed since."""
        for name in (mask, *other_files(mask, EVERYTHING, self.out_channels).values()):
            path = self.folder / name
            if path.is_file() and read_mark(path) not in (None, made) and not was_changed(path):
                path.unlink()

    def report(self) -> None:
        """Log how many masks were written, and where; list what could not be read.

        Raises:
            InputError: if there is any such image, in the first process.
        """
        seconds = time.monotonic() - self.start
        total: Any = idist.all_reduce(float(self.saved))
        of_processes: Any = idist.all_gather(self.failed)
        if idist.get_rank() > 0:
            return
        speed = f"{total / seconds:.1f} images a second; " if total else ""
        _logger.info(f"{total:.0f} masks: {self.folder} ({speed}8 bits, pixel values are label ids)")
        listed = self.folder / FAILED
        listed.unlink(missing_ok=True)
        failed = sorted(each for of_process in of_processes for each in of_process)
        if failed:
            write_csv(listed, ["image", "problem"], failed)
            for _, problem in failed[:_SHOWN]:
                _logger.error(problem)
            raise InputError(f"{len(failed)} image(s) could not be segmented; {listed} lists them, the others are done")


def _save_outlines(ids: NDArray[np.uint8], path: Path, made: str) -> None:
    outlines = geojson(ids)
    text = mark(made, json.dumps({**outlines, TEXT_KEY: None}))
    path.write_text(json.dumps({**outlines, TEXT_KEY: text}), encoding="utf-8")


def _map(kind: str, decided: NDArray[Any]) -> NDArray[np.uint16]:
    """The map of the entropy, or of one class's probability."""
    channel = -1 if kind == "uncertainty_maps" else int(Path(kind).name)
    return decided[channel].astype(np.uint16)
