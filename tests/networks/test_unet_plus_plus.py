# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch
from monai.networks.nets import BasicUNetPlusPlus

from scripts.networks.unet_plus_plus import UNetPlusPlus

FEATURES = (4, 4, 8, 8, 16, 4)


@torch.no_grad()
def test_the_finest_of_all_masks_is_the_output():
    torch.manual_seed(0)
    network, image = UNetPlusPlus(2, 3, 5, features=FEATURES, deep_supervision=True).eval(), torch.rand(2, 3, 32, 48)
    monais = BasicUNetPlusPlus(2, 3, 5, features=FEATURES, deep_supervision=True).eval()
    monais.load_state_dict(network.state_dict())
    masks = monais(image)
    assert len(masks) == 4 and network(image).shape == (2, 5, 32, 48)
    torch.testing.assert_close(network(image), masks[0])
    assert not torch.allclose(network(image), masks[1])
