# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json

import pytest
from monai.bundle import ConfigParser

from scripts.checkpoints.model_schema import FIELDS, PUBLISHED, check_as_trained
from scripts.checkpoints.model_settings import read_settings, settings_of_checkpoint
from scripts.common.errors import InputError
from scripts.common.files import file_digest
from workflows import BUNDLE


def test_without_a_file_the_published_setting_is_used(tmp_path):
    assert read_settings(tmp_path) == PUBLISHED


@pytest.mark.parametrize(
    "text, message", [("{", "not valid JSON"), (json.dumps({"fold": 0}), "spatial_size"), ("[]", "lacks")]
)
def test_a_broken_file_is_named(tmp_path, text, message):
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read_settings(tmp_path)
    assert str(tmp_path / "model.json") in str(error.value)


ADDED = [field.name for field in FIELDS if field.since not in ("0.1.0", "0.2.0")]


def test_models_of_earlier_versions_have_the_network_of_then(tmp_path):
    assert {"network_name", "norm", "detail", "refine", "label_fit", "start_is_known"} <= set(ADDED)
    settings = {name: value for name, value in PUBLISHED.items() if name not in ADDED}
    (tmp_path / "model.json").write_text(json.dumps(settings))
    assert read_settings(tmp_path) == PUBLISHED


def test_the_record_of_images_of_earlier_versions_is_used_where_it_holds(tmp_path, caplog):
    images = {"a.png": {"part": "train", "group": "a", "digest": "a"}}
    settings = {name: value for name, value in PUBLISHED.items() if name not in ADDED} | {"images": images}
    for changes, known, kept in (
        ({"weights": None}, True, images),
        ({"weights": "models/model.pt", "seen_before": ["b"]}, True, images),
        ({"weights": "models/published/model.pt"}, False, images),
        ({"encoder_weights": "models/model.pt"}, False, images),
        ({"color_space": "YCrCb"}, False, {}),
    ):
        (tmp_path / "model.json").write_text(json.dumps({**settings, **changes}))
        found = read_settings(tmp_path)
        assert (found["start_is_known"], found["images"]) == (known, kept)
    assert [record.message for record in caplog.records if "that knew images by converted colors" in record.message]


def save(folder, name: str, **settings) -> str:
    """Weights with settings of their own beside them."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.pt").write_text(f"weights of {folder} {name}")
    digest = file_digest(folder / f"{name}.pt")
    (folder / f"{name}.json").write_text(json.dumps({**PUBLISHED, **settings, "sha256": digest}))
    return str(folder / f"{name}.pt")


def test_each_checkpoint_has_the_settings_of_its_own_training(tmp_path):
    models, other = tmp_path / "models", tmp_path / "other"
    of_fold = {
        save(models, "model", fold=1, run="train_1"): 1,
        save(models, "model.previous", fold=2, run="train_0"): 2,
        save(other, "model", fold=3): 3,
        str(tmp_path / "eval" / "train_1" / "checkpoint_epoch=9_step=1.pt"): 1,
    }
    for checkpoint, fold in of_fold.items():
        assert settings_of_checkpoint(checkpoint, models)["fold"] == fold
    (other / "model.json").unlink()
    assert settings_of_checkpoint(str(other / "model.pt"), models) == PUBLISHED


@pytest.mark.parametrize("name", ["train_0/checkpoint_epoch=9_step=1.pt", "weight_best_dice.pt"])
def test_a_checkpoint_without_settings_does_not_get_those_of_another_model(tmp_path, name):
    save(tmp_path / "models", "model", run="train_1")
    for folder in (tmp_path / "models", tmp_path / "empty"):
        with pytest.raises(InputError, match=f"{name} has no settings .* copy the file to a folder of its own"):
            settings_of_checkpoint(str(tmp_path / name), folder)


@pytest.mark.parametrize("workflow", ["evaluate", "inference"])
def test_the_model_before_is_used_as_it_was_trained(tmp_path, workflow):
    save(tmp_path / "models", "model", spatial_size=[64, 64])
    checkpoint = save(tmp_path / "models", "model.previous", spatial_size=[96, 96])
    config = ConfigParser()
    config.read_config([str(BUNDLE / "configs" / name) for name in ("train.json", f"{workflow}.json")])
    config.update({"ckpt_dir": str(tmp_path / "models"), "checkpoint": checkpoint})
    assert config.get_parsed_content("spatial_size") == [96, 96]


def test_of_published_checkpoints_nobody_knows_how_they_were_trained():
    check_as_trained(PUBLISHED, color_space="YCrCb")
    check_as_trained({**PUBLISHED, "run": "train_1", "split": "all"}, color_space="RGB", split="all")
    with pytest.raises(InputError, match="split is None, but the model was trained with 'all' .*; leave it out"):
        check_as_trained({**PUBLISHED, "run": "train_1", "split": "all"}, split=None)
