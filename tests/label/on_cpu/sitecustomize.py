# SPDX-License-Identifier: Apache-2.0

"""On PYTHONPATH, lets torchvision be imported beside a CPU build of torch, though indexes serve its CUDA build.

MONAI Label's apps import it, and use none of its compiled operators: only what its import says of them needs them.
"""

import importlib.abc
import sys


class DeclareOperators(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            if torch.version.cuda is None:
                self.library = torch.library.Library("torchvision", "DEF")
                self.library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
                self.library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
                torch.torchvision_operators = self.library  # kept as long as torch is


sys.meta_path.insert(0, DeclareOperators())
