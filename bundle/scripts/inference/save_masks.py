# SPDX-License-Identifier: Apache-2.0

"""Write the results of an inference: a mask for every image, and other outputs such as overlays if they are set."""

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
from ..data.layouts.files import first_names
from ..image_io.contours import geojson
from ..image_io.formats.mask_files import mask_format
from ..image_io.mask_marks import mark, read_mark, was_changed
from ..image_io.pictures import TEXT_KEY, draw_overlay, save_png
from ..image_io.readers import ImageFileReader
from .outliers import OUTLIERS
from .output_folder import EVERYTHING, FAILED, other_files

__all__ = ["SaveMasks"]

_SHOWN = 10  # largest number of problems in the log

_logger = logging.getLogger("qtseg")


class SaveMasks:
    """Save the masks of an evaluator's images. An image that cannot be read does not stop the inference.

    The evaluator's batches must come from a :py:class:`.tolerant_dataset.TolerantDataset`. Its items must have
    ``"mask"``, the name of the mask in the folder, whose suffix decides on the format, and ``"made"``, the digest for
    marks from :py:func:`.output_folder.still_to_do`. The evaluator's outputs must have ``"pred"``, the result of
    :py:class:`..transforms.discretize.Decide`. A progress bar shows how many images are done in a second.

    Args:
        output_dir: path of the folder of the masks. Its file ``failed.csv`` lists the images that could not be read.
        num_images: number of images that this process does.
        max_pixels: largest height x width of an image that an overlay is drawn on.
        out_channels: number of classes. The background counts as a class.
        outputs: which other outputs to save, in folders of these names, for images but not for volumes. "overlays":
            pictures of the masks over the images. "contours": outlines of the objects as GeoJSON. "probability_maps":
            the probabilities of every foreground class, in a folder with the number of the class. "uncertainty_maps":
            the entropy of the probabilities. Both kinds of maps are 16-bit PNG, in which 65535 stands for 1.
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
        self.with_outliers: list[str] = []
        self.start = time.monotonic()

    def attach(self, engine: Engine) -> None:
        """Register the handlers of an evaluator. Its postprocessing must end with label ids.

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
        state: Any = engine.state  # MONAI's evaluator keeps a dictionary for every image in batch and output
        for item, output in zip(state.batch, state.output):
            if item["problem"]:
                self.failed.append((item["source"], item["problem"]))
                self._remove_stale(item["mask"], item["made"])
            else:
                self._save_one(item, output["pred"].cpu().numpy())
                self.saved += 1
                if item.get(OUTLIERS):
                    self.with_outliers.append(item["source"])
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
        # The mask is written last, as an image counts as done when it has a mask.
        with replacing(self.folder / name) as path:
            mask_format(name).write(ids, source, path, mark(item["made"], ids))

    def _draw(self, source: str, ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Draw the mask over the image of the file, not over the fitted and scaled image that the network gets."""
        image, _ = self.reader.get_data(self.reader.read(source))
        return draw_overlay(np.moveaxis(image, -1, 0), ids)

    def _remove_stale(self, mask: str, origin: str) -> None:
        """Remove files that inference made of another image or with other settings, unless somebody changed them."""
        for name in (mask, *other_files(mask, EVERYTHING, self.out_channels).values()):
            path = self.folder / name
            if path.is_file() and read_mark(path) not in (None, origin) and not was_changed(path):
                path.unlink()

    def report(self) -> None:
        """Log how many masks were written and where, and list the images that could not be read.

        Raises:
            InputError: in the first process, if an image could not be read.
        """
        seconds = time.monotonic() - self.start
        total: Any = idist.all_reduce(float(self.saved))
        of_processes: Any = idist.all_gather(self.failed)
        with_outliers: Any = idist.all_gather(self.with_outliers)
        if idist.get_rank() > 0:
            return
        speed = f"{total / seconds:.1f} images a second; " if total else ""
        _logger.info(f"{total:.0f} masks: {self.folder} ({speed}8 bits, pixel values are label ids)")
        if outliers := sorted(image for of_process in with_outliers for image in of_process):
            _logger.warning(
                f"{len(outliers)} image(s) have a few pixels that stretch their range of intensities, such as hot "
                "pixels or a scale bar, and so leave all else little contrast; look at their masks, and remove such "
                f"pixels or train a model with --intensities percentiles: {first_names(outliers)}"
            )
        listed = self.folder / FAILED
        listed.unlink(missing_ok=True)
        failed = sorted(image for of_process in of_processes for image in of_process)
        if failed:
            write_csv(listed, ["image", "problem"], failed)
            for _, problem in failed[:_SHOWN]:
                _logger.error(problem)
            raise InputError(f"{len(failed)} image(s) could not be segmented; {listed} lists them, the others are done")


def _save_outlines(ids: NDArray[np.uint8], path: Path, origin: str) -> None:
    outlines = geojson(ids)
    text = mark(origin, json.dumps({**outlines, TEXT_KEY: None}))
    path.write_text(json.dumps({**outlines, TEXT_KEY: text}), encoding="utf-8")


def _map(kind: str, decided: NDArray[Any]) -> NDArray[np.uint16]:
    """Return the (H, W) uint16 map of the entropy, or of the probability of one class."""
    channel = -1 if kind == "uncertainty_maps" else int(Path(kind).name)
    return decided[channel].astype(np.uint16)
