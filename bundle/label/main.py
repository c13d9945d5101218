# SPDX-License-Identifier: Apache-2.0

"""The MONAI Label app of the bundle. This command starts its server:

``python -m monailabel.main start_server --app label --studies IMAGES --host 127.0.0.1``
"""

from __future__ import annotations

import hashlib
import logging
import sys
from pathlib import Path
from typing import Any

BUNDLE = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(BUNDLE), str(BUNDLE / "label")]  # to import the packages `scripts` and `qtseg_label`

from monailabel.interfaces.app import MONAILabelApp  # noqa: E402
from qtseg_label.choose import ByName, MostUncertain, Random  # noqa: E402
from qtseg_label.guard import check_version, guard_server  # noqa: E402
from qtseg_label.infer import Segment  # noqa: E402
from qtseg_label.model import TrainedModel  # noqa: E402
from qtseg_label.scoring import DiceOfModel  # noqa: E402
from qtseg_label.studies import Studies  # noqa: E402
from qtseg_label.train import TrainOnLabels  # noqa: E402

from scripts.common.errors import InputError  # noqa: E402
from scripts.common.knobs import check_knobs  # noqa: E402

logger = logging.getLogger(__name__)

_CONF = {"allowed_hosts", "ckpt_dir", "out_channels", "output_dir"}


class QTSegApp(MONAILabelApp):
    """The app: it segments images, trains on the labels so far, chooses the next image, and scores the model.

    Args:
        app_dir: folder of the app.
        studies: folder of the images. Labels are stored in its folder ``labels/``.
        conf: values of ``--conf``: ``ckpt_dir``, the folder of the model, by default the bundle's ``models/``;
            ``out_channels``, the number of classes with the background, which must be that of the model if there is
            one; ``output_dir``, the folder for all other files of trainings; ``allowed_hosts``, names of the server
            besides 127.0.0.1 and localhost, with commas between them.

    Raises:
        InputError: if ``conf`` has an unknown name or a wrong value, if ``studies`` is no folder, if MONAI Label has
            another version than the tested one, or if the server cannot be guarded.
    """

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        check_version()
        unknown = set(conf) - _CONF
        if unknown:
            raise InputError(f"--conf {sorted(unknown)[0]} is not known here; use {', '.join(sorted(_CONF))}")
        if studies.startswith(("http://", "https://")):
            raise InputError(f"--studies is {studies}; give a folder of images, as only its ids can be guarded")
        ckpt_dir = Path(conf.get("ckpt_dir", BUNDLE / "models")).absolute()
        classes = conf.get("out_channels")
        if classes is not None:
            check_knobs({"out_channels": int(classes) if classes.isdecimal() else classes})
        self.model = TrainedModel(BUNDLE, ckpt_dir, None if classes is None else int(classes))
        path = ckpt_dir / "model.pt"
        served = f"serves {path}" if self.model.is_there else f"there is no {path} until a training has made it"
        logger.info(f"{served}; another folder is named by --conf ckpt_dir")
        # Each folder of images has labels of its own, so the default name follows from the path of the folder.
        folder_name = f"{Path(studies).name}_{hashlib.sha256(studies.encode()).hexdigest()[:8]}"
        self.output_dir = Path(conf.get("output_dir", BUNDLE / "eval" / "label" / folder_name)).absolute()
        description = "2D segmentation by QTSeg: masks and polygons, training, active learning"
        guard_server([name.strip().lower() for name in conf.get("allowed_hosts", "").split(",") if name.strip()])
        super().__init__(app_dir, studies, conf, name="QTSeg", description=description, version=self.model.version)
        self._auto_update_scoring = False  # else each choice of an image would start a process for each scoring method

    def init_datastore(self) -> Studies:
        """Return the datastore of the folder of images."""
        return Studies(self.studies, self.model)

    def init_infers(self) -> dict[str, Any]:
        """Return the inference tasks: one, for the model."""
        return {"qtseg": Segment(self.model)}

    def init_trainers(self) -> dict[str, Any]:
        """Return the training tasks: one, for the model."""
        return {"qtseg": TrainOnLabels(self.model, self.output_dir)}

    def init_strategies(self) -> dict[str, Any]:
        """Return the strategies that choose the next image."""
        return {"random": Random(), "first": ByName(), "uncertainty": MostUncertain(self.model)}

    def init_scoring_methods(self) -> dict[str, Any]:
        """Return the methods that score the model on labels."""
        return {"dice": DiceOfModel(self.model)}

    def infer_wsi(self, request: Any, datastore: Any = None) -> Any:
        """Segment an image for QuPath or DSA, which send such requests. The whole image is segmented, also of a TIFF.

        Args:
            request: the request, as :py:class:`.infer.Segment` takes it.
            datastore: datastore of the image.
        """
        return self.infer(request, datastore)

    def _load_sessions(self, load: bool = False) -> None:
        """Keep no sessions: they are folders in the user's home, which clients would fill and this app would clear."""
