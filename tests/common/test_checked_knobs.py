# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import Any

import pytest
from monai.bundle import ConfigParser

from scripts.common.checked_knobs import Knobs, described_knobs
from scripts.common.errors import InputError
from scripts.common.files import read_json
from scripts.common.paths import CONFIGS
from workflows import config_files

SIZES = {"_desc_": "Sizes", "spatial_size": "Height and width.", "seed": "Of all.", "part#of_a_component": "Elsewhere."}
FILES = {"_desc_": "Files", "output_dir": "Where files go.", "resume": "Whether to go on.", "run_name": "Of the run."}


def knobs_of(*configs: str, **overrides: Any) -> Knobs:
    parser = ConfigParser()
    parser.read_config(config_files(*configs))
    parser.update(overrides)
    try:
        return parser.get_parsed_content("knobs")
    except RuntimeError as error:  # MONAI's, around ours
        raise error.__cause__ from None


def small(**values: Any) -> ConfigParser:
    component = {
        "_target_": "scripts.common.checked_knobs.checked_knobs",
        "unlogged": ["output_dir", "resume", "run_name"],
        "seed": "$@seed_of_all + 1",
    }
    defaults = {"spatial_size": 64, "seed": 0, "output_dir": "o", "resume": "true", "run_name": "$1 / 0"}
    groups = {"_sizes_": SIZES, "_files_": FILES}
    return ConfigParser({**groups, "knobs": component, "seed_of_all": 6, **defaults, **values})


def test_the_knobs_are_those_that_the_config_describes_with_their_right_types():
    knobs = small().get_parsed_content("knobs")
    assert (knobs.spatial_size, knobs.seed, knobs.output_dir, knobs.resume) == ((64, 64), 7, "o", True)
    assert knobs.logged == {"spatial_size": [64, 64], "seed": 7}
    assert knobs.only("resume", "spatial_size") == {"resume": True, "spatial_size": [64, 64]}
    assert not hasattr(knobs, "run_name")  # it is neither checked nor logged, and may follow from the knobs


def test_a_wrong_value_is_named():
    for values, message in (({"spatial_size": 33}, "spatial_size is .33, 33."), ({"resume": "no"}, "resume is 'no'")):
        with pytest.raises(RuntimeError) as failure:
            small(**values).get_parsed_content("knobs")
        with pytest.raises(InputError, match=message):
            raise failure.value.__cause__


def test_descriptions_are_told_apart_from_other_names_with_an_underscore():
    config = {"_sizes_": SIZES, "_meta_": {"version": 1}, "_note_": "text", "network": {"_desc_": "of all"}}
    assert described_knobs(config) == {"Sizes": {name: text for name, text in SIZES.items() if name != "_desc_"}}


def test_what_the_command_line_gives_as_text_has_its_right_type():
    words = ("schedule_by_step", "group_duplicates", "stratify", "deterministic", "resume", "detail", "refine")
    training = knobs_of("train", spatial_size=[64, 96], batch_size=3, **dict.fromkeys(words, "True"))
    assert all(getattr(training, name) is True for name in words)
    assert (training.spatial_size, training.batch_size, training.precision) == ((64, 96), 3, "float32")
    assert training.logged["spatial_size"] == [64, 96] and training.logged["stratify"] is True
    assert knobs_of("train", resume="false").resume is False
    outputs = ("overlays", "contours", "probability_maps", "uncertainty_maps", "fill_holes", "largest_component")
    masks = knobs_of("inference", tta="flips", **dict.fromkeys(outputs, "true"))
    assert all(getattr(masks, name) is True for name in outputs) and masks.tta == "flips"


def test_a_training_logs_what_it_logged_before_and_an_overlays_knobs():
    train = read_json(CONFIGS / "train.json")
    described = {name for names in described_knobs(train).values() for name in names if "#" not in name}
    logged = knobs_of("train").logged
    assert set(logged) == described - set(train["knobs"]["unlogged"])
    names = "dataset_dir spatial_size batch_size max_epochs geometry crops_per_image overlap out_channels learning_rate"
    names += " weight_decay schedule_by_step val_interval save_interval early_stopping layout color_space label_colors"
    names += " label_fit fold num_folds split group group_duplicates stratify remainder protocol validation_share"
    names += " num_workers cache_rate precision compile seed deterministic weights encoder_weights network_name norm"
    names += " detail refine freeze_epochs"
    assert set(logged) >= set(names.split())
    by_recipe = knobs_of("train", "recipes/paper", max_epochs=21).logged
    assert set(by_recipe) - set(logged) == {"min_learning_rate", "learning_rate_step"}
    assert by_recipe["learning_rate_step"] == 3


def test_the_epochs_are_those_of_the_trainer():
    changed = {"train#trainer#max_epochs": 7}  # as MONAI Label sets it
    assert knobs_of("train", **changed).logged["max_epochs"] == 7
    with pytest.raises(InputError, match="max_epochs is 0"):
        knobs_of("train", **{"train#trainer#max_epochs": 0})


@pytest.mark.parametrize(
    "configs, name, value, message",
    [
        (("train",), "geometry", "big", "geometry is 'big'; use one of 'fit', 'native'"),
        (("train",), "group_duplicates", "yes", "group_duplicates is 'yes'; it must be true or false"),
        (("train",), "ckpt_dir", 2018, "ckpt_dir is 2018, which is no path"),
        (("train", "recipes/paper"), "learning_rate_step", 0, "learning_rate_step is 0"),
        (("train", "evaluate"), "pixel_size", 0, "pixel_size is 0"),
        (("train", "evaluate"), "fill_holes", 1, "fill_holes is 1; it must be true or false"),
        (("inference",), "overlap", 1, "overlap is 1"),
        (("inference", "networks/unet"), "contours", None, "contours is None"),
    ],
)
def test_every_config_checks_its_knobs(configs, name, value, message):
    with pytest.raises(InputError, match=message):
        knobs_of(*configs, **{name: value})
