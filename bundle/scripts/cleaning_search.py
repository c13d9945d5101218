# SPDX-License-Identifier: Apache-2.0

"""Find out which cleaning of masks pays: ``python -m scripts.cleaning_search``, from the bundle's folder."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import monai.bundle
import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

from .checkpoints.model_folder import settings_path
from .checkpoints.model_settings import overlays_of, read_settings
from .common.errors import InputError, explanation
from .common.files import read_json, write_csv, write_json
from .common.limits import MAX_CLASSES
from .common.paths import CONFIGS
from .data.layouts.registry import read_layout
from .data.splits.split import relative_names
from .evaluation.metrics import mean_dice
from .image_io.readers import MaskFileReader
from .inference.inputs import images_to_segment
from .transforms.cleaning import NO_CLEANING, clean

__all__ = ["main", "search_cleaning"]

_QUANTILES = (0.02, 0.05, 0.1, 0.2, 0.4)  # of the areas of predicted objects: candidates for the smallest
_PAYS = 0.001  # of Dice: less is chance


def search_cleaning(ckpt_dir: Path, dataset_dir: Path | None = None) -> dict[str, Any]:
    """Score all settings of :py:func:`.transforms.cleaning.clean` on the images that chose the model's epoch.

    What was held out to be scored is not looked at.

    Args:
        ckpt_dir: folder of ``model.pt`` and ``model.json``.
        dataset_dir: where the dataset lies now; None for where it was.

    Returns:
        The best settings, or none where they gain less than 0.001; ``"dice"``, the mean Dice with them;
        ``"dice_before"`` without any; ``"images"`` and ``"tried"``, the numbers of images and of settings.

    Raises:
        InputError: if there is no model, or no such images, or nothing says where they lie.
    """
    if not (ckpt_dir / "model.pt").is_file():
        raise InputError(f"{ckpt_dir / 'model.pt'} is not there; train a model first, or name the folder of one")
    settings = read_settings(ckpt_dir)
    validate = {name for name, image in settings["images"].items() if image["part"] == "validate"}
    if not validate:
        raise InputError(f"{ckpt_dir} names no images that chose the epoch alone; train with --protocol held-out")
    root = dataset_dir or settings["dataset_dir"]
    if root is None:
        raise InputError(f"{ckpt_dir} does not say where the images of its training lie; name them by --dataset_dir")
    datalist = read_layout(settings["layout"], root)
    items = [item for name, item in zip(relative_names(datalist, root), datalist) if name in validate]
    if len(items) < len(validate):
        raise InputError(f"{root} lacks {len(validate) - len(items)} image(s) that chose the epoch; put them back")
    with tempfile.TemporaryDirectory() as folder:
        masks = _predict(ckpt_dir, settings["network_name"], [item["image"] for item in items], Path(folder))
    reader = MaskFileReader(settings["out_channels"], colors=settings["label_colors"])
    labels = [reader.get_data(reader.read(item["label"]))[0] for item in items]
    scores = {
        candidate: _mean_dice(masks, labels, dict(zip(NO_CLEANING, candidate)), settings["out_channels"])
        for candidate in _candidates(masks)
    }
    before = scores[tuple(NO_CLEANING.values())]
    best = max(scores, key=lambda candidate: scores[candidate])  # of equal ones the first, which does least
    if scores[best] < before + _PAYS:
        best = tuple(NO_CLEANING.values())
    counts = {"images": len(items), "tried": len(scores)}
    return {**dict(zip(NO_CLEANING, best)), "dice": scores[best], "dice_before": before, **counts}


def _predict(ckpt_dir: Path, network_name: str, images: Sequence[str], folder: Path) -> list[NDArray[np.uint8]]:
    """Masks without any cleaning, in the order of the images."""
    listed, output_dir = folder / "images.csv", folder / "masks"
    files = [str(CONFIGS / f"{name}.json") for name in ("inference", *overlays_of(network_name))]
    write_csv(listed, ["image"], [[str(Path(image).absolute())] for image in images])
    monai.bundle.run(
        run_id="inferring",
        config_file=files,
        bundle_root=str(CONFIGS.parent),
        ckpt_dir=str(ckpt_dir),
        dataset_dir=str(listed),
        output_dir=str(output_dir),
        **NO_CLEANING,
    )
    reader = MaskFileReader(MAX_CLASSES)
    found = images_to_segment(listed, output_dir=output_dir)  # in the order of the list
    return [reader.get_data([str(output_dir / item["mask"])])[0] for item in found]


def _candidates(masks: Sequence[NDArray[np.uint8]]) -> list[tuple[bool, bool, int]]:
    """Settings, those that do least first; as smallest objects, quantiles of the areas that were predicted."""
    areas = [
        area
        for mask in masks
        for number in np.unique(mask[mask > 0])
        for area in np.bincount(label(mask == number, connectivity=2).ravel())[1:].tolist()
    ]
    smallest = sorted({0, *(int(np.quantile(areas, share)) for share in _QUANTILES if areas)})
    return [(holes, largest, least) for least in smallest for largest in (False, True) for holes in (False, True)]


def _mean_dice(
    masks: Sequence[NDArray[np.uint8]],
    labels: Sequence[NDArray[np.uint8]],
    settings: Mapping[str, Any],
    num_classes: int,
) -> float:
    """Mean over images and foreground classes."""
    classes = range(1, num_classes)
    return mean(mean_dice(clean(mask, **settings), truth, classes) for mask, truth in zip(masks, labels))


def main(arguments: Sequence[str] | None = None) -> None:
    """Search, print the best settings, and keep them for inference and evaluation if wished for.

    Args:
        arguments: of the command line; None for those of this process.
    """
    parser = argparse.ArgumentParser(prog="python -m scripts.cleaning_search", description=__doc__)
    parser.add_argument("--ckpt_dir", type=Path, default=Path("models"), help="folder of model.pt and model.json")
    parser.add_argument("--dataset_dir", type=Path, help="where the dataset lies now; else where it was")
    parser.add_argument("--keep", action="store_true", help="write the settings into model.json")
    asked = parser.parse_args(arguments)
    try:
        found = search_cleaning(asked.ckpt_dir.absolute(), asked.dataset_dir)
        best = {name: found[name] for name in NO_CLEANING}
        knobs = " ".join(f"--{name} {str(value).lower()}" for name, value in best.items())
        helps = f"{found['dice']:.4f} with {knobs}" if best != NO_CLEANING else "and no cleaning gains 0.001 or more"
        print(f"{found['images']} image(s), {found['tried']} settings tried")
        print(f"mean Dice {found['dice_before']:.4f} as predicted, {helps}")
        if asked.keep:
            path = settings_path(asked.ckpt_dir)
            write_json(path, {**read_json(path), "cleaning": best})
            print(f"{path} keeps this: inference and evaluation run with {knobs} by default")
    except (InputError, RuntimeError, OSError) as error:
        parser.exit(1, f"error: {explanation(error) or error}\n")


if __name__ == "__main__":
    main()
