# SPDX-License-Identifier: Apache-2.0

"""Make a trained network cheaper to run: fold its batch normalization into its convolutions."""

from __future__ import annotations

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .blocks import ConvNormAct, ConvTransposeNormAct

__all__ = ["fold_batch_norm"]


def fold_batch_norm(network: nn.Module) -> None:
    """Fold every batch normalization into the convolution before it; the outputs stay equal up to rounding.

    Args:
        network: the network in evaluation mode, changed in place. It can no longer be trained, and the keys of its
            state dict change.

    Raises:
        ValueError: if the network is in training mode, in which every batch has its own statistics.

    Example::

        block = ConvNormAct(in_channels=3, out_channels=8).eval()
        fold_batch_norm(block)
        assert isinstance(block.norm, torch.nn.Identity) and block.conv.bias is not None
    """
    if network.training:
        raise ValueError("only a network in evaluation mode can be folded: call eval() first.")
    for module in network.modules():
        if isinstance(module, (ConvNormAct, ConvTransposeNormAct)) and isinstance(module.norm, nn.BatchNorm2d):
            transpose = isinstance(module, ConvTransposeNormAct)
            module.conv = fuse_conv_bn_eval(module.conv, module.norm, transpose)
            module.norm = nn.Identity()
