# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from pathlib import Path

import torch

from scripts.benchmark.contenders import inferring, training
from scripts.networks.qtseg import QTSeg

CPU = torch.device("cpu")


def test_all_forms_of_qtseg_predict_the_same():
    image, logits = torch.rand(1, 3, 64, 64) * 2 - 1, {}
    for name, build in inferring(None, CPU, compiles=False).items():
        if name.startswith("QTSeg"):
            with torch.no_grad():
                logits[name] = build()(image)
    expected = logits.pop("QTSeg, reference")
    assert set(logits) == {
        "QTSeg, reference, native",
        "QTSeg",
        "QTSeg, folded",
        "QTSeg, folded, TorchScript",
        "QTSeg, bfloat16",
        "QTSeg, bfloat16, TorchScript",
    }
    for name, values in logits.items():
        tolerance = 0.2 if "bfloat16" in name else 1e-4
        torch.testing.assert_close(values, expected, atol=tolerance, rtol=0, msg=name)


def test_weights_of_another_form_are_measured_as_they_are(tmp_path: Path):
    torch.manual_seed(0)
    network, image = QTSeg(3, 2, norm="group", detail=True, refine=True).eval(), torch.rand(1, 3, 64, 64) * 2 - 1
    torch.save(network.state_dict(), tmp_path / "model.pt")
    built = inferring(str(tmp_path / "model.pt"), CPU, compiles=False)
    with torch.no_grad():
        for name in ("QTSeg, reference", "QTSeg, folded"):
            torch.testing.assert_close(built[name]()(image), network(image), atol=1e-4, rtol=0)


def test_peers_give_masks_of_the_images_size():
    for name, build in training(None, CPU).items():
        assert build()(torch.rand(2, 3, 64, 64)).shape == (2, 2, 64, 64), name
