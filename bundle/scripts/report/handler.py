# SPDX-License-Identifier: Apache-2.0

"""Save the masks of an evaluation, and write its page at the end."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events

from ..common.command_line import as_typed
from ..image_io.pictures import save_palette
from .cases import mask_path
from .page import write_report

__all__ = ["SaveReport"]


class SaveReport:
    """Save masks at the original size of the images, and write ``report.html``, with pictures of some images.

    Predictions are saved in ``masks/`` and labels in ``labels/``. A mask is a palette PNG whose pixel values are label
    ids. Its name is the image's stem and six digits of a digest of the image's path. Masks that an earlier evaluation
    saved in the same folder stay there, unless they are masks of the same images.

    Args:
        output_dir: folder of the evaluation.
        curves: path of the ``curves.csv`` of the training; if there is no such file, the page says so.
    """

    def __init__(self, output_dir: str | os.PathLike, *, curves: str | os.PathLike | None = None) -> None:
        self.output_dir = Path(output_dir)
        self.curves = curves

    def attach(self, engine: Engine) -> None:
        """Register the handler with an evaluator, after the handlers that write the files that the page shows.

        Args:
            engine: the evaluator. Its outputs must have ``"pred"`` and ``"original_label"``, both (K, H, W) one-hot, at
                the original size of the image.
        """
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._save_masks)
        engine.add_event_handler(Events.COMPLETED, self)

    def _save_masks(self, engine: Engine) -> None:
        state: Any = engine.state  # batch and output of MONAI's evaluator have one dictionary per image
        for item, output in zip(state.batch, state.output):
            source = str(item["image"].meta["filename_or_obj"])
            _save(output["pred"], mask_path(self.output_dir / "masks", source))
            _save(output["original_label"], mask_path(self.output_dir / "labels", source))

    def __call__(self, engine: Engine) -> None:
        """Write the page.

        Args:
            engine: the evaluator, at the end of its run.
        """
        idist.barrier()  # wait until all processes have saved their masks
        if idist.get_rank() > 0:
            return
        path = write_report(self.output_dir, curves=self.curves, command=as_typed(sys.orig_argv))
        logging.getLogger("qtseg").info(f"report:               {path} (one file; open it in a browser)")


def _save(one_hot: torch.Tensor, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_palette(one_hot.argmax(0).byte().cpu().numpy(), path)
