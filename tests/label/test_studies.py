# SPDX-License-Identifier: Apache-2.0

"""The datastore and what clients send to it, without a server. Runs where MONAI Label is installed."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scripts.common.errors import InputError

pytest.importorskip("monailabel")
NOT_NAMES = ("", ".", "..", "../x", "/etc/x", "a/b", "a\\b", "..\\x", "a\0b", "a\nb", "a\x1bb", "a\x7fb", "x" * 256)
NAMES = ("Bild 1 (Kopie)", "Aufnahme\u202f9.41", "n\u00e4vus", "\u7d30\u80de", "a%2fb", "a;b", ".a")
DEEP = '{"a":' * 20 + "1" + "}" * 20
NOT_JSON = ("[1]", "1", "{", '{"a": NaN}', '{"a": 1e999}', '{"a": "\\ud800"}', "[" * 100_000, DEEP)


@pytest.fixture
def folder(tmp_path) -> Path:
    studies = tmp_path / "studies"
    studies.mkdir()
    for name in ("a", "b"):
        Image.fromarray(np.full((8, 9), 7, np.uint8)).save(studies / f"{name}.png")
    return studies


@pytest.fixture
def label(tmp_path) -> str:
    Image.fromarray(np.eye(8, 9, dtype=np.uint8)).save(tmp_path / "label.png")
    return str(tmp_path / "label.png")


@pytest.fixture
def outside(tmp_path) -> Iterator[Path]:
    """A file that must stay as it is."""
    path = tmp_path / "precious.png"
    Image.new("L", (9, 8)).save(path)
    content = path.read_bytes()
    yield path
    assert path.read_bytes() == content


def opened(app: Any, folder: Path) -> Any:
    store = app.Studies(str(folder), SimpleNamespace(labels={"object": 1}))
    store._observer.stop()  # changes of the folder are seen on request
    return store


@pytest.mark.parametrize("name", NOT_NAMES)
def test_ids_are_names_of_files(name, app, folder, label):
    store = opened(app, folder)
    before = sorted(folder.rglob("*"))
    for act in (lambda: store.add_image(name, label, {}), lambda: store.save_label(name, label, "final", {})):
        with pytest.raises(InputError, match="send the name of a file, without folders and without its suffix"):
            act()
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("name", [*NAMES, "x" * 251])
def test_ids_are_all_other_names(name, app, folder, label):
    store = opened(app, folder)
    assert store.add_image(name, label, {}) == name and (folder / f"{name}.png").is_file()
    assert store.save_label(name, label, "final", {}) == name
    store.remove_image(name)
    assert not (folder / f"{name}.png").exists() and not (folder / "labels" / "final" / f"{name}.png").exists()


@pytest.mark.parametrize("tag", ["", "Final", "..", "/tmp", "../final", "final/x", "version_1", "final\0"])
def test_tags_are_two(tag, app, folder, label):
    with pytest.raises(InputError, match="use one of final, original"):
        opened(app, folder).save_label("a", label, tag, {})


@pytest.mark.parametrize("suffix", [".py", ".json", ".sh", ".pkl", ".pt", ".html", ".zip", "", ".png.py"])
def test_files_have_the_suffix_of_an_image_or_label(suffix, app, folder, label):
    sent = Path(label).rename(Path(label).with_suffix("").with_name(f"x{suffix}"))
    for act in (lambda: store.add_image("c", str(sent), {}), lambda: store.save_label("a", str(sent), "final", {})):
        store = opened(app, folder)
        with pytest.raises(InputError, match="has none of the suffixes .png, .jpg"):
            act()


def test_labels_belong_to_an_image_and_have_its_size_and_classes(app, folder, tmp_path, label):
    store = opened(app, folder)
    assert store.save_label("a", label, "final", {"note": "x"}) == "a"
    assert store.get_label_info("a", "final")["note"] == "x"
    with pytest.raises(Exception, match="there is no image 'none' in the folder of images"):
        store.save_label("none", label, "final", {})
    for name, values, told in (
        ("large", np.ones((9, 9), np.uint8), r"has the shape \(9, 9\), but .*a.png \(8, 9\); label it anew"),
        ("two", np.full((8, 9), 2, np.uint8), "two.png"),
    ):
        Image.fromarray(values).save(tmp_path / f"{name}.png")
        with pytest.raises(InputError, match=told):
            store.save_label("a", str(tmp_path / f"{name}.png"), "final", {})
    assert np.asarray(Image.open(folder / "labels" / "final" / "a.png")).sum() == 8  # the first label is still there


def test_images_are_images(app, folder, tmp_path):
    (tmp_path / "x.png").write_bytes(b"print('code ran')\n")
    with pytest.raises(InputError, match="x.png is not a PNG, JPEG"):
        opened(app, folder).add_image("c", str(tmp_path / "x.png"), {})
    assert not (folder / "c.png").exists()


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_what_links_lead_to_is_neither_written_nor_removed(link, app, folder, label, outside):
    (folder / "labels" / "final").mkdir(parents=True)
    for place in ("linked.png", "gone.png", "labels/final/a.png", "labels/final/b.png"):
        link(outside, folder / place)
    store = opened(app, folder)
    assert Path(store.get_image_uri("linked")).read_bytes() == outside.read_bytes()  # it is read, as DVC's links are
    store.add_image("linked", label, {})
    store.remove_image("gone")
    store.save_label("a", label, "final", {})
    store.remove_label("b", "final")
    for place in ("linked.png", "labels/final/a.png"):
        assert (folder / place).read_bytes() == Path(label).read_bytes()
    assert not (folder / "gone.png").exists() and not (folder / "labels/final/b.png").exists()


def test_the_archive_of_all_labels_has_no_files_of_other_places(app, folder, label, outside):
    store = opened(app, folder)
    store.save_label("a", label, "final", {})
    (folder / "labels" / "final" / "b.png").symlink_to(outside)
    store.refresh()
    assert sorted(store.get_labeled_images()) == ["a", "b"]
    assert [Path(pair["label"]).name for pair in store.datalist()] == ["a.png"]
    with zipfile.ZipFile(store.get_dataset_archive(None)) as archive:
        assert sorted(archive.namelist()) == ["image/a.png", "label/a.png", "metadata.json"]
    os.unlink(archive.filename)


@pytest.mark.parametrize("place", ["labels", "labels/final", "labels/original", "datastore_v2.json", ".lock"])
def test_a_folder_whose_own_places_lead_elsewhere_is_refused(place, app, folder, tmp_path):
    target = tmp_path / "elsewhere"
    target.mkdir()
    (folder / place).parent.mkdir(exist_ok=True)
    (folder / place).symlink_to(target / ("x" if "." in place else ""))
    with pytest.raises(InputError, match="is a link that leads to .*elsewhere.*, outside of the folder of images"):
        opened(app, folder)
    assert list(target.iterdir()) == []


def test_paths_in_a_foreign_index_are_left_out(app, folder, outside):
    there = {"image": {"ext": ".png"}, "labels": {}}
    objects = {
        "a": {**there, "labels": {"../..": {"ext": "/precious.png"}, "final": {"ext": "/../../../precious.png"}}},
        "../precious": there,
        str(outside.with_suffix("")): there,
        "x": {"image": {"ext": "/../../precious.png"}, "labels": {}},
        "y": {"image": {"ext": ".py"}, "labels": {}},
    }
    index = {"name": "n", "description": "d", "images_dir": "..", "labels_dir": "/", "objects": objects}
    (folder / "datastore_v2.json").write_text(json.dumps(index))
    store = opened(app, folder)
    assert set(store.list_images()) == {"a", "b"} and store.get_labeled_images() == []
    assert store.get_image_uri("a") == str(folder.resolve() / "a.png")
    assert (folder / "labels" / "final").is_dir()


@pytest.mark.parametrize("text", NOT_JSON)
def test_facts_are_small_json(text, app):
    from qtseg_label.client_values import checked_facts

    with pytest.raises(InputError, match="params or info (is no JSON|is '|has )"):
        checked_facts(text)


def test_facts_do_not_replace_those_of_the_app(app, folder):
    from qtseg_label.client_values import checked_facts

    sent = {"id": "../x", "path": "/etc/passwd", "strategy": 1, "label_info": [{"name": "cell", "idx": 1}]}
    assert checked_facts(json.dumps(sent)) == {"label_info": [{"name": "cell", "idx": 1}]}
    with pytest.raises(InputError, match="has 70009 bytes; send at most 65536"):
        checked_facts(json.dumps({"a": "x" * 70_000}))
    store = opened(app, folder)
    store.update_image_info("a", {"first": "x" * 40_000})
    with pytest.raises(InputError, match="would have more than 65536 bytes; send fewer"):
        store.update_image_info("a", {"second": "x" * 40_000})


@pytest.mark.parametrize("values, told", [
    ({"learning_rate": "$__import__('os')"}, 'learning_rate is "$__import__'),
    ({"learning_rate": float("nan")}, "learning_rate is nan"),
    ({"learning_rate": 11}, "learning_rate is 11; use at most 10"),
    ({"max_epochs": "@batch_size"}, "max_epochs is '@batch_size'; it must be a number"),
    ({"max_epochs": 10**9}, "max_epochs is 1000000000; use at most 100000"),
    ({"max_epochs": True}, "max_epochs is True; it must be a number"),
    ({"max_epochs": 1.5}, "max_epochs is 1.5"),
    ({"batch_size": -1}, "batch_size is -1"),
    ({"batch_size": {"_target_": "os.system"}}, "batch_size is {'_target_': 'os.system'}; it must be a number"),
    ({"seed": [1]}, "seed is [1]; it must be a number"),
    ({"spatial_size": [64, "$64"]}, "spatial_size is [64, '$64']; it must be a number"),
    ({"spatial_size": [32, 2**20]}, "spatial_size is [32, 1048576]; use at most 16777216 pixels"),
    ({"geometry": "$'fit'"}, "geometry is \"$'fit'\"; use one of 'fit', 'native'"),
    ({"geometry": {"_target_": "os.system"}}, "geometry is {'_target_': 'os.system'}"),
])
def test_a_client_sends_numbers_in_their_ranges(values, told, app):
    from qtseg_label.train import training_knobs

    with pytest.raises(InputError) as error:
        training_knobs(values)
    assert told in str(error.value)


def test_of_other_values_nothing_is_passed_on(app):
    from qtseg_label.train import training_knobs

    foreign = ("bundle_path", "gpus", "model", "weights", "dataset_dir", "ckpt_dir", "config_file", "run_id")
    values = {**dict.fromkeys((*foreign, "$x", "_target_"), "/tmp"), "max_epochs": 3, "geometry": ["native", "fit"]}
    assert training_knobs(values) == {"max_epochs": 3, "geometry": "native"}
