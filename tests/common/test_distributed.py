# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import ignite.distributed as idist
import pytest
import torch
from torch import nn

from scripts.common.distributed import check_processes, share_statistics
from scripts.common.errors import InputError
from scripts.networks.qtseg import QTSeg


def test_each_process_has_an_image(monkeypatch):
    check_processes(["a"], "to score")
    monkeypatch.setattr(idist, "get_world_size", lambda: 3)
    check_processes("abc", "to score")
    with pytest.raises(InputError, match=r"3 processes share 2 image\(s\) to score; start 2 processes or fewer"):
        check_processes("ab", "to score")


def test_statistics_of_batches_are_shared_between_gpus_only():
    for device, kind in (("cpu", nn.BatchNorm2d), ("cuda", nn.SyncBatchNorm)):
        network = QTSeg(3, 2)
        names = list(network.state_dict())
        shared = share_statistics(network, torch.device(device))
        layers = [module for module in shared.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
        assert shared is network and list(shared.state_dict()) == names
        assert layers and all(type(layer) is kind for layer in layers)
