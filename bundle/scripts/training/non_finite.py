# SPDX-License-Identifier: Apache-2.0

"""A handler that skips training steps whose loss or gradients are not finite."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents
from monai.utils import CommonKeys as Keys
from torch import Tensor, nn

from ..common.errors import InputError

__all__ = ["SkipNonFinite"]

_IN_A_ROW = 3

_logger = logging.getLogger("qtseg")


class SkipNonFinite:
    """Skip a training step whose loss or gradients are not finite, and log its images.

    Three such steps in a row stop the training. Such a step also spoils the statistics of batch normalization, so their
    values before the step are restored.

    Args:
        network: network that is trained.
        data: training images, as items with the path ``"image"``. A batch holds ``"index"``, the positions of its
            images in ``data``.
    """

    def __init__(self, network: nn.Module, data: Sequence[Mapping[str, Any]]) -> None:
        self.network = network
        self.data = data
        self.in_a_row = 0

    def attach(self, engine: Engine) -> None:
        """Register with a trainer.

        Args:
            engine: the trainer.
        """
        engine.add_event_handler(Events.EPOCH_STARTED, self._keep_statistics)
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self)

    def _keep_statistics(self) -> None:
        self.statistics = [buffer for buffer in self.network.buffers() if buffer.is_floating_point()]
        self.kept = [buffer.clone() for buffer in self.statistics]

    def __call__(self, engine: Any) -> None:
        """Check a training step, and skip it if its loss or gradients are not finite.

        Args:
            engine: the trainer, after it has computed the gradients.

        Raises:
            InputError: if this is the third such step in a row.
        """
        if self._is_finite(engine):
            self.in_a_row = 0
            _copy(self.statistics, self.kept)
            return
        self.in_a_row += 1
        _copy(self.kept, self.statistics)
        if not engine.amp:  # with amp, the scaler of gradients skips the step, and must see the gradients for that
            engine.optimizer.zero_grad(set_to_none=True)
        state = engine.state
        step = (state.iteration - 1) % state.epoch_length + 1
        names = [str(self.data[i]["image"]) for i in dict.fromkeys(state.batch["index"].tolist())]
        message = f"loss or gradients of epoch {state.epoch}, step {step} are not finite; images: {', '.join(names)}"
        if self.in_a_row == _IN_A_ROW:
            raise InputError(
                f"{message}; so were those of the {_IN_A_ROW - 1} steps before. Lower learning_rate (and set --resume "
                "false), and look at these images; the best model so far is kept"
            )
        _logger.warning(f"{message}; the step is skipped")

    def _is_finite(self, engine: Any) -> bool:
        finite = torch.isfinite(engine.state.output[Keys.LOSS])
        if not engine.amp or engine.scaler.get_scale() < 1:  # gradients that are scaled up may overflow
            gradients = [parameter.grad for parameter in self.network.parameters() if parameter.grad is not None]
            finite = finite & torch.isfinite(torch.nn.utils.get_total_norm(gradients))
        if idist.get_world_size() > 1:  # either all processes skip the step or none does
            return int(idist.all_reduce(int(finite), op="MIN")) == 1
        return bool(finite)


def _copy(sources: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
    if not targets:  # a network without statistics
        return
    with torch.no_grad():
        torch._foreach_copy_(list(targets), list(sources))
