# SPDX-License-Identifier: Apache-2.0

"""Small evaluations, as their handlers leave them in a folder, and their pages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import MetaTensor
from torch.nn.functional import one_hot

import images
from scripts.data.data_check import check_data, report_check
from scripts.data.duplicates import near_duplicates
from scripts.data.splits.protocols import PROTOCOLS
from scripts.data.survey import survey_images
from scripts.evaluation.calibration import Calibration
from scripts.evaluation.metrics import ConfusionScore, ImageScore
from scripts.evaluation.scores import SaveScores
from scripts.image_io.readers import ImageFileReader, MaskFileReader
from scripts.report.handler import SaveReport

HEIGHT, WIDTH = 32, 48
MISSED, FALSE_ALARM, ABSENT = range(3)  # the first images; of the others each prediction is one pixel worse

CURVES = "epoch,train_loss,learning_rate,val_dice\n1,0.75,0.001,\n2,0.5,0.001,0.625\n3,0.25,0.0005,0.875\n"
_VOID = {"meta", "link", "img", "input", "br"}


def evaluate(
    folder: Path,
    names: Sequence[str],
    *,
    num_classes: int = 2,
    group: str | None = None,
    curves: Path | None = None,
    more: Mapping[str, ImageScore] | None = None,
) -> Path:
    """Evaluate predictions of growing error on images made for it.

    Args:
        folder: for the images, labels and results.
        names: of the image files.
        num_classes: with the background.
        group: of all images; None for one each.
        curves: the training's.
        more: metrics beside those that are always computed.

    Returns:
        The evaluation's folder.
    """
    items = [_item(folder, name, i, num_classes, group or name) for i, name in enumerate(names)]
    output_dir = folder / "evaluation"
    _check(items, num_classes, folder)
    engine = Engine(lambda engine, batch: batch)  # MONAI's: one dictionary an image, in batch and output

    @engine.on(Events.EPOCH_COMPLETED)
    def score(engine: Any) -> None:
        pred, label = (torch.stack([item[key] for item in items]) for key in ("pred", "original_label"))
        metrics = {
            "dice": ConfusionScore("dice"),
            "iou": ConfusionScore("iou"),
            "paper_dice": ConfusionScore("dice", paper_protocol=True),
            **(more or {}),
        }
        details = {name: metric(pred, label) for name, metric in metrics.items()}
        distances = (pred - label).abs().sum((2, 3))[:, 1:].double() / 10  # stand for those of outlines
        engine.state.metric_details = {**details, "hd95": distances}

    protocols = {"": f"{PROTOCOLS['held-out'].text}; each image at its original size", "paper_": "the paper's scoring"}
    facts = {"images": str(folder), "protocol": "held-out", "fold": 0, "run": "train_1", "spatial_size": [32, 64]}
    facts["checkpoint"] = "models/model.pt"
    SaveScores(output_dir, protocols=protocols, facts=facts).attach(engine)
    Calibration(output_dir).attach(engine)
    SaveReport(output_dir, curves=curves).attach(engine)
    engine.run([items[i : i + 2] for i in range(0, len(items), 2)])
    return output_dir


class Page(HTMLParser):
    """A page as a browser sees it: elements, text by element, and whether every element is closed in its place."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            tag = self.open[-1] if self.open else ""
            self.texts.append((tag, data if tag == "script" else " ".join(data.split())))

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self) -> str:
        return " ".join(text for tag, text in self.texts if tag not in ("script", "style"))

    def table(self) -> dict:
        return json.loads(next(text for tag, text in self.texts if tag == "script"))


def _item(folder: Path, name: str, number: int, num_classes: int, group: str) -> dict[str, Any]:
    label, pred = np.zeros((2, HEIGHT, WIDTH), np.uint8)
    if number in (MISSED, FALSE_ALARM):
        (label if number == MISSED else pred)[8:16, 4:20] = 1
    elif number != ABSENT:
        shift = (number - ABSENT) % 16
        label[8:24, 8:24] = 1
        pred[8:24, 8 + shift : 24 + shift] = 1
        label[16:24] *= num_classes - 1
        pred[16:24] *= num_classes - 1
    noise = np.random.RandomState(number).randint(0, 100, (HEIGHT, WIDTH, 3))
    path = images.save(folder / "images" / name, (noise + 100 * (label > 0)[..., None]).astype(np.uint8))
    labelled = images.save(folder / "true" / f"{number}.png", label)
    masks = {
        key: one_hot(torch.from_numpy(ids).long(), num_classes).permute(2, 0, 1).float()
        for key, ids in (("pred", pred), ("original_label", label))
    }
    return {
        "image": MetaTensor(torch.zeros(1, 2, 2), meta={"filename_or_obj": str(path)}),
        "path": str(path),
        "label": str(labelled),
        "group": group,
        "seen": "no",
        "probability": 0.8 * masks["pred"] + 0.2 / num_classes,
        **masks,
    }


def _check(items: Sequence[dict[str, Any]], num_classes: int, folder: Path) -> None:
    readers = {"image_reader": ImageFileReader(), "mask_reader": MaskFileReader(num_classes)}
    datalist = [{"image": item["path"], "label": item["label"]} for item in items]
    seen = survey_images(datalist, **readers, cache_dir=folder / "surveys")
    where = {"report_path": folder / "evaluation" / "data_check.json"}
    report = check_data(
        seen, near_duplicates(seen), spatial_size=(32, 64), out_channels=num_classes, training=False, **where
    )
    report_check(report, [], **where)
