# SPDX-License-Identifier: Apache-2.0

"""Keep the masks of an evaluation, and write its page at the end."""

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
    """Save predicted and labeled masks at the images' original size, and write ``report.html`` with pictures of some.

    A mask is a palette PNG whose pixel values are label ids, in ``masks/`` and ``labels/``, named by the image's stem
    and six digits of a digest of its path. Masks of an earlier evaluation into the same folder stay, unless they are of
    the same images.

    Args:
        output_dir: folder of the evaluation.
        curves: the training's ``curves.csv``; the page says so if it is not there.
    """

    def __init__(self, output_dir: str | os.PathLike, *, curves: str | os.PathLike | None = None) -> None:
        self.output_dir = Path(output_dir)
        self.curves = curves

    def attach(self, engine: Engine) -> None:
        """Register with an evaluator, after the handlers that write what the page shows.

        Its outputs must have ``"pred"`` and ``"original_label"``, both (K, H, W) one-hot, at original size.

        Args:
            engine: the evaluator.
        """
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._save_masks)
        engine.add_event_handler(Events.COMPLETED, self)

    def _save_masks(self, engine: Engine) -> None:
        state: Any = engine.state  # of MONAI's evaluator: one dictionary an image, in batch and output
        for item, output in zip(state.batch, state.output):
            source = str(item["image"].meta["filename_or_obj"])
            _save(output["pred"], mask_path(self.output_dir / "masks", source))
            _save(output["original_label"], mask_path(self.output_dir / "labels", source))

    def __call__(self, engine: Engine) -> None:
        """
        Args:
            engine: the evaluator, all images seen.
        """
        idist.barrier()  # each process has saved masks of its own
        if idist.get_rank() > 0:
            return
        path = write_report(self.output_dir, curves=self.curves, command=as_typed(sys.orig_argv))
        logging.getLogger("qtseg").info(f"report:               {path} (one file; open it in a browser)")


def _save(one_hot: torch.Tensor, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_palette(one_hot.argmax(0).byte().cpu().numpy(), path)
