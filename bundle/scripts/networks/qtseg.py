# SPDX-License-Identifier: Apache-2.0

"""QTSeg: the paper's figure."""

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

#: Options of the architecture by their names. What a row says is all that checkpoints, configs and contests know of it.
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

# Shapes: B batch, H x W image in pixels.


class QTSeg(nn.Module):
    """Query-token segmentation network for 2D medical images (QTSeg, arXiv 2412.17241).

    With the defaults, three input channels and two classes it has 9,214,850 parameters, as published.

    Args:
        in_channels: channels of the image.
        out_channels: number of classes, the background counted: 2 for a binary task (1 is for a sigmoid's single mask).
        features: base width n of the encoder.
        depths: attention blocks of the decoder's stages 0 (fine), 1 and 2 (coarse).
        num_heads: attention heads; must divide half of each of the encoder's widths.
        mlp_dim: hidden width of the tokens' MLP in each block.
        bridge: whether the levels are mixed between encoder and decoder; False is the paper's ablation.
        norm: how encoder, bridge and refinement normalize: "batch", as published, or "group", each image by itself.
        detail: whether the decoder sees the encoder's maps at 1/2 and 1/4 of the image's size too, which the published
            one does not.
        refine: whether the logits are corrected by convolutions at the image's full size, ``features`` wide, which the
            published ones are not.

    Raises:
        ValueError: if a setting is out of its range; the message names it, its value and the cure.

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
            image: (B, in_channels, H, W), in [-1, 1], float32 even where the network is not; H and W divisible by 32.

        Returns:
            Logits (B, out_channels, H, W), of the image's type.

        Raises:
            ValueError: if H or W is not divisible by 32; names the size to pad to.
        """
        if not torch.jit.is_tracing():  # a trace would freeze the answer
            self._check_size(image.shape[-2], image.shape[-1])
        # The decoder reads maps as sequences of pixels, so channels come last in memory from the start.
        x = image.to(self.decoder.tokens.dtype).contiguous(memory_format=torch.channels_last)
        fine, maps = self.encoder(x)
        logits = self.decoder(self.bridge(maps), fine).to(image.dtype)
        logits = logits.contiguous()  # masks are looked at one by one
        logits = F.interpolate(logits, size=image.shape[-2:], mode="bilinear", align_corners=False)
        return logits if self.refinement is None else self.refinement(x, logits)

    def _check_size(self, height: int, width: int) -> None:
        if height % 32 != 0 or width % 32 != 0:
            raise ValueError(
                f"height and width must be divisible by 32: got {height} x {width}; "
                f"pad the image to {(height + 31) // 32 * 32} x {(width + 31) // 32 * 32}."
            )
