# SPDX-License-Identifier: Apache-2.0

"""Find the best cleaning of masks for a model: ``python -m scripts.cleaning_search``, from the bundle's folder."""

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

_QUANTILES = (0.02, 0.05, 0.1, 0.2, 0.4)  # quantiles of the areas of predicted objects: values of smallest_object
_MIN_GAIN = 0.001  # of Dice; a smaller gain may be chance


def search_cleaning(ckpt_dir: Path, dataset_dir: Path | None = None) -> dict[str, Any]:
    """Score all settings of :py:func:`.transforms.cleaning.clean` on the images that chose the model's epoch.

    Images that were held out for scoring are not used.

    Args:
        ckpt_dir: folder of ``model.pt`` and ``model.json``.
        dataset_dir: folder of the dataset; None for the folder that the training used.

    Returns:
        The best settings by name, or those of no cleaning if the gain is below 0.001. Also ``"dice"``, the mean Dice
        with these settings; ``"dice_before"``, the mean Dice without cleaning; ``"images"``, the number of images; and
        ``"tried"``, the number of settings.

    Raises:
        InputError: if the model, the images that chose its epoch, or their folder cannot be found.
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
    reader = MaskFileReader(
        settings["out_channels"],
        colors=settings["label_colors"],
        background_color=settings["background_color"],
        instance_labels=settings["instance_labels"],
    )
    labels = [reader.get_data(reader.read(item["label"]))[0] for item in items]
    scores = {
        candidate: _mean_dice(masks, labels, dict(zip(NO_CLEANING, candidate)), settings["out_channels"])
        for candidate in _candidates(masks)
    }
    before = scores[tuple(NO_CLEANING.values())]
    best = max(scores, key=lambda candidate: scores[candidate])  # of equal scores the first, which changes least
    if scores[best] < before + _MIN_GAIN:
        best = tuple(NO_CLEANING.values())
    counts = {"images": len(items), "tried": len(scores)}
    return {**dict(zip(NO_CLEANING, best)), "dice": scores[best], "dice_before": before, **counts}


def _predict(ckpt_dir: Path, network_name: str, images: Sequence[str], folder: Path) -> list[NDArray[np.uint8]]:
    """Predict masks (H, W) without any cleaning, in the order of the images."""
    image_list, output_dir = folder / "images.csv", folder / "masks"
    files = [str(CONFIGS / f"{name}.json") for name in ("inference", *overlays_of(network_name))]
    write_csv(image_list, ["image"], [[str(Path(image).absolute())] for image in images])
    monai.bundle.run(
        run_id="inferring",
        config_file=files,
        bundle_root=str(CONFIGS.parent),
        ckpt_dir=str(ckpt_dir),
        dataset_dir=str(image_list),
        output_dir=str(output_dir),
        **NO_CLEANING,
    )
    reader = MaskFileReader(MAX_CLASSES)
    items = images_to_segment(image_list, output_dir=output_dir)  # in the order of the list
    return [reader.get_data([str(output_dir / item["mask"])])[0] for item in items]


def _candidates(masks: Sequence[NDArray[np.uint8]]) -> list[tuple[bool, bool, int]]:
    """List the settings to try, in the order of ``NO_CLEANING``, those that change least first.

    The sizes of ``smallest_object`` are quantiles of the areas of predicted objects.
    """
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
    """Return the mean Dice over images and foreground classes, after cleaning with ``settings``."""
    classes = range(1, num_classes)
    return mean(mean_dice(clean(mask, **settings), truth, classes) for mask, truth in zip(masks, labels))


def main(arguments: Sequence[str] | None = None) -> None:
    """Search and print the best settings; with ``--keep``, store them in ``model.json``.

    Args:
        arguments: arguments of the command line; None for those of this process.
    """
    parser = argparse.ArgumentParser(prog="python -m scripts.cleaning_search", description=__doc__)
    parser.add_argument("--ckpt_dir", type=Path, default=Path("models"), help="folder of model.pt and model.json")
    parser.add_argument("--dataset_dir", type=Path, help="folder of the dataset; by default, that of the training")
    parser.add_argument("--keep", action="store_true", help="write the settings into model.json")
    options = parser.parse_args(arguments)
    try:
        result = search_cleaning(options.ckpt_dir.absolute(), options.dataset_dir)
        best = {name: result[name] for name in NO_CLEANING}
        knobs = " ".join(f"--{name} {str(value).lower()}" for name, value in best.items())
        gain = f"{result['dice']:.4f} with {knobs}" if best != NO_CLEANING else "and no cleaning gains 0.001 or more"
        print(f"{result['images']} image(s), {result['tried']} settings tried")
        print(f"mean Dice {result['dice_before']:.4f} as predicted, {gain}")
        if options.keep:
            path = settings_path(options.ckpt_dir)
            write_json(path, {**read_json(path), "cleaning": best})
            print(f"{path} keeps this: inference and evaluation run with {knobs} by default")
    except (InputError, RuntimeError, OSError) as error:
        parser.exit(1, f"error: {explanation(error) or error}\n")


if __name__ == "__main__":
    main()
