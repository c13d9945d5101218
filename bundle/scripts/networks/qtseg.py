# SPDX-License-Identifier: Apache-2.0

"""The network QTSeg: encoder, bridge and decoder, as in the paper's figure of the architecture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import NORMS, use_group_norm
from .bridge import MLFD, NoBridge
from .decoder import MaskDecoder
from .encoder import FPNEncoder
from .options import Option, any_begins
from .refinement import Refinement

__all__ = ["OPTIONS", "QTSeg"]

#: The options of the architecture, by name. Checkpoints, configs and contests take all facts about an option from here.
OPTIONS: dict[str, Option] = {
    option.name: option
    for option in (
        Option(
            name="norm",
            default="batch",
            since="0.3.0",
            value_in=lambda names: "batch" if any(name.endswith("running_mean") for name in names) else "group",
            choices=NORMS,
        ),
        Option(
            name="detail",
            default=False,
            since="0.3.0",
            value_in=lambda names: any_begins(names, "decoder.stages.0.details."),
        ),
        Option(
            name="refine",
            default=False,
            since="0.3.0",
            value_in=lambda names: any_begins(names, "refinement."),
            addition="refinement.",
        ),
    )
}

# Shapes: B batch size, H x W image in pixels.


class QTSeg(nn.Module):
    """Query-token segmentation network for 2D medical images (QTSeg, arXiv 2412.17241).

    With the default options, three input channels and two classes, the network has 9,214,850 parameters, as published.

    Args:
        in_channels: number of channels of the image.
        out_channels: number of classes, with the background: 2 for a binary task. (1 is for the single mask of a
            sigmoid.)
        features: base width n of the encoder, in channels.
        depths: numbers of attention blocks in the decoder's stages 0 (fine), 1 and 2 (coarse).
        num_heads: number of attention heads. It must divide half of each width of the encoder.
        mlp_dim: hidden width of the tokens' MLP in each attention block.
        bridge: whether the levels are mixed between encoder and decoder. False is an ablation of the paper.
        norm: normalization in encoder, bridge and refinement: "batch", as published, or "group", which normalizes each
            image by itself.
        detail: whether the decoder also gets the encoder's maps at 1/2 and 1/4 of the image's size. The published
            decoder does not.
        refine: whether convolutions at the full size of the image correct the logits, with ``features`` channels. The
            published network has no such convolutions.

    Raises:
        ValueError: if an argument is out of its range. The message names it, its value and the cure.

    Example::

        network = QTSeg(in_channels=3, out_channels=2).eval()
        logits = network(torch.zeros(1, 3, 64, 96))
        assert logits.shape == (1, 2, 64, 96)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        features: int = 16,
        depths: Sequence[int] = (1, 2, 3),
        num_heads: int = 8,
        mlp_dim: int = 2048,
        bridge: bool = True,
        norm: str = "batch",
        detail: bool = False,
        refine: bool = False,
    ) -> None:
        super().__init__()
        if norm not in NORMS:
            raise ValueError(f"norm must be one of {', '.join(NORMS)}: got {norm!r}.")
        self.encoder = FPNEncoder(in_channels, features=features)
        widths = self.encoder.out_channels
        self.bridge = MLFD(widths) if bridge else NoBridge()
        self.decoder = MaskDecoder(
            widths,
            out_channels,
            depths=depths,
            num_heads=num_heads,
            mlp_dim=mlp_dim,
            fine_channels=self.encoder.fine_channels if detail else (),
        )
        self.refinement = Refinement(in_channels, out_channels, width=features) if refine else None
        if norm == "group":
            use_group_norm(self)

    def forward(self, image: Tensor) -> Tensor:
        """Segment images.

        Args:
            image: (B, in_channels, H, W) float32 in [-1, 1], even if the network has another type. H and W must be
                divisible by 32.

        Returns:
            Logits (B, out_channels, H, W) of the same type as ``image``.

        Raises:
            ValueError: if H or W is not divisible by 32. The message names the size to pad to.
        """
        if not torch.jit.is_tracing():  # a trace would record the result of the check for this size only
            self._check_size(image.shape[-2], image.shape[-1])
        # The decoder reads maps as sequences of pixels. So channels come last in memory from the start.
        x = image.to(self.decoder.tokens.dtype).contiguous(memory_format=torch.channels_last)
        fine, maps = self.encoder(x)
        logits = self.decoder(self.bridge(maps), fine).to(image.dtype)
        logits = logits.contiguous()  # later steps use one mask at a time, so channels come first again
        logits = F.interpolate(logits, size=image.shape[-2:], mode="bilinear", align_corners=False)
        return logits if self.refinement is None else self.refinement(x, logits)

    def _check_size(self, height: int, width: int) -> None:
        if height % 32 != 0 or width % 32 != 0:
            raise ValueError(
                f"height and width must be divisible by 32: got {height} x {width}; "
                f"pad the image to {(height + 31) // 32 * 32} x {(width + 31) // 32 * 32}."
            )
