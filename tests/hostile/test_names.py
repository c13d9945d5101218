# SPDX-License-Identifier: Apache-2.0

"""Names and kinds of files that nobody expects: each image has its mask in the output folder, or is told of."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import images
from scripts.common.errors import InputError
from scripts.common.files import write_csv
from scripts.data.layouts.folder import from_folder
from scripts.image_io.formats.registry import format_of
from scripts.image_io.mask_marks import mark, read_mark, was_changed
from scripts.image_io.pictures import save_palette
from scripts.image_io.readers import ImageFileReader, MaskFileReader
from scripts.inference.inputs import images_to_segment
from scripts.inference.output_folder import still_to_do
from workflows import causes, run

NAMES = [
    "two  words .png", "it's \"quoted\".png", "new\nline.png", "\ttab.png", "-rf.png", "--help.png", "größe 画像.png",
    os.fsdecode(b"latin \xe9\xff.png"), "100%.png", "%s%d.png", "#1.png", "$HOME.png", "$import os.png", "@trained.png",
    "~.png", "~root.png", "a;b&c|d.png", "*?[a].png", "back\\slash.png", "C:\\a.png", "\u2028line.png", "\x1b[31m.png",
    "..png", "...a.png", "con.png", "x" * 251 + ".png",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path) -> Path:
    images.save(tmp_path / "data" / "good.png", images.marked())
    return tmp_path / "data"


def masks_of(source: Path, output_dir: Path) -> dict[str, str]:
    """Names of masks by name of image."""
    return {Path(each["image"]).name: each["mask"] for each in images_to_segment(source, output_dir=output_dir)}


def check(source: Path, output_dir: Path) -> list[dict[str, str]]:
    items = images_to_segment(source, output_dir=output_dir)
    return still_to_do(items, output_dir, {}, outputs={}, out_channels=2)


@pytest.mark.parametrize("listed", ["images.csv", "images.txt", ""])
def test_masks_are_named_as_their_images(listed, tmp_path):
    for name in NAMES:
        images.save(tmp_path / "data" / "deep" / name, images.marked(), format="PNG")
    names = [name for name in NAMES if not name.startswith(".")]  # hidden in a folder
    source = tmp_path / "data"
    if listed:
        names = NAMES if listed.endswith(".csv") else [name for name in NAMES if "\n" not in name]
        source = tmp_path / "data" / "deep" / listed
        if listed.endswith(".csv"):
            write_csv(source, ["image"], [[f"./{name}"] for name in names])
        else:
            source.write_bytes(b"\n".join(os.fsencode(f"./{name}") for name in names))
    masks = masks_of(source, tmp_path / "out")
    assert masks == {name: name if listed else f"deep/{name}" for name in names}
    assert len(check(source, tmp_path / "out")) == len(names)


def test_inference_takes_them(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "a b" / "#x %y $z @k 'q' \"r\" -k"
    for name in NAMES:
        pixels = images.marked(3)
        pixels[..., 1:] = 0  # red
        images.save(folder / name, pixels, format="PNG")
    monkeypatch.chdir(tmp_path)
    network = {"_target_": "workflows.RedIsForeground"}
    common = {"ckpt_dir": str(tmp_path / "none"), "network_def": network, "spatial_size": [32, 32], "contours": True}
    steps = ["$@evaluator.run()", "$@save_masks.report()"]
    long = folder / NAMES[-1]
    with pytest.raises(RuntimeError) as failure:
        run("inference", dataset_dir=str(folder), output_dir=str(tmp_path / "out"), run=steps, **common)
    told = [str(error) for error in causes(failure.value) if isinstance(error, InputError)]
    assert told and "has too long a name for its " in told[0] and "shorten it by 4 bytes" in told[0]
    long.unlink()
    run("inference", dataset_dir=str(folder), output_dir=str(tmp_path / "out"), run=steps, **common)
    assert "Logging error" not in capsys.readouterr().err
    names = [name for name in NAMES[:-1] if not name.startswith(".")]
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == sorted(names)
    for name in names:
        with Image.open(tmp_path / "out" / name) as mask:
            np.testing.assert_array_equal(np.asarray(mask) > 0, images.marked() > 0)
        outlines = tmp_path / "out" / "contours" / f"{name.removesuffix('.png')}.geojson"
        assert len(json.loads(outlines.read_text())["features"]) == 1
    assert sorted(os.listdir(tmp_path)) == ["a b", "out"]
    with pytest.raises(RuntimeError) as failure:
        run("inference", dataset_dir=str(folder), output_dir=str(tmp_path / "#2"), **common)
    told = [str(error) for error in causes(failure.value) if isinstance(error, InputError)]
    assert told == [f"output_dir is {tmp_path}/#2, but in a path of a config no # can be; use a folder without it"]
    assert sorted(os.listdir(tmp_path)) == ["a b", "out"]


@pytest.mark.parametrize("entry", ["../outside/a.png", "{}/outside/a.png", "./../data/../outside/a.png"])
@pytest.mark.parametrize("kind", ["txt", "csv"])
def test_no_list_leads_out_of_the_output_folder(kind, entry, folder, tmp_path):
    images.save(tmp_path / "outside" / "a.png", images.marked())
    listed = folder / f"list.{kind}"
    entries = [entry.format(tmp_path), "good.png", f"/etc/../{folder}/good.png"]
    listed.write_text("\n".join(["image", *entries] if kind == "csv" else entries))
    masks = [item["mask"] for item in images_to_segment(listed, output_dir=tmp_path / "out")]
    assert sorted(masks) == ["data/good.png", "outside/a.png"]
    assert all((tmp_path / "out" / mask).resolve().is_relative_to(tmp_path / "out") for mask in masks)


NO_FILES = ["x" * 5000 + ".png", "nul\0.png", "~nobody/a.png", "good.png/a.png", "loop/a.png", "."]


@pytest.mark.parametrize("entry", NO_FILES)
@pytest.mark.parametrize("kind", ["txt", "csv"])
def test_lists_of_what_is_no_file_are_refused(kind, entry, folder, tmp_path):
    (folder / "loop").symlink_to(folder / "loop")
    listed = folder / f"list.{kind}"
    listed.write_text(f"image\n{entry}" if kind == "csv" else entry)
    with pytest.raises(InputError, match=f"list.{kind} lists .*, which is not there|list.csv cannot be read"):
        images_to_segment(listed, output_dir=tmp_path / "out")


@pytest.mark.parametrize("name", ["~nobody/x", "x" * 5000, "nul\0", "loop"])
@pytest.mark.parametrize("reader", [lambda path: images_to_segment(path, output_dir="out"), from_folder])
def test_folders_that_cannot_be_are_refused(reader, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    with pytest.raises(InputError, match="does not exist; give --dataset_dir"):
        reader(name)


def test_a_folder_named_like_a_mask(tmp_path):
    for name in ("a.jpg", "a.png/b.jpg", "B.gif", "b.PNG/c.png/d.bmp", "b.PNG/c.jpg"):
        images.save(tmp_path / "data" / name, images.marked())
    masks = {item["image"]: item["mask"] for item in images_to_segment(tmp_path / "data", output_dir=tmp_path / "out")}
    assert sorted(masks.values()) == ["B.gif.png", "a.jpg.png", "a.png/b.png", "b.PNG/c.jpg.png", "b.PNG/c.png/d.png"]
    assert len(check(tmp_path / "data", tmp_path / "out")) == 5


@pytest.mark.parametrize("prepare, message", [
    (lambda out: (out / "good.png").mkdir(parents=True), "would be written as .*good.png, which is a folder; rename"),
    (lambda out: out.write_text("mine"), "out is to be a folder of masks, but a file; move it, or set another"),
    (lambda out: out.symlink_to("nowhere"), "out is to be a folder of masks, but a file; move it, or set another"),
])
def test_output_folders_that_cannot_be_are_refused(prepare, message, folder, tmp_path):
    prepare(tmp_path / "out")
    with pytest.raises(InputError, match=message):
        check(folder, tmp_path / "out")


def test_an_outline_named_like_a_folder(tmp_path):
    for name in ("a.png", "a.geojson/b.png"):
        images.save(tmp_path / "data" / name, images.marked())
    items = images_to_segment(tmp_path / "data", output_dir=tmp_path / "out")
    with pytest.raises(InputError, match="a.png would be written as .*out/contours/a.geojson, which is a folder; ren"):
        still_to_do(items, tmp_path / "out", {}, outputs={"contours": True}, out_channels=2)


def test_a_damaged_mask_is_changed(tmp_path):
    ids = np.arange(4096, dtype=np.uint8).reshape(64, 64)
    save_palette(ids, tmp_path / "a.png", mark("made", ids))
    assert not was_changed(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[:-100])
    assert read_mark(tmp_path / "a.png") == "made" and was_changed(tmp_path / "a.png")


# no files


def pipe(path: Path) -> None:
    os.mkfifo(path)


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))  # names of sockets are short


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.fixture
def in_time() -> Iterator[None]:
    """A test that hangs says nothing; this one fails."""

    def too_late(*args):
        pytest.fail("it waits for a file that never ends")

    before = signal.signal(signal.SIGALRM, too_late)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", ["a.png", "a.nii", "a.nii.gz", "a.txt", "a.csv", "a"])
@pytest.mark.parametrize("make", [pipe, listening, device])
def test_what_may_never_end_is_not_opened(make, name, folder, monkeypatch, in_time):
    monkeypatch.chdir(folder)
    make(folder / name)
    for read in (
        ImageFileReader().get_data,
        ImageFileReader(volumes=True).get_data,
        MaskFileReader(2).get_data,
        lambda paths: format_of(paths[0]),
        lambda paths: images_to_segment(paths[0], output_dir="out"),
    ):
        with pytest.raises(InputError, match="is a pipe, a socket or a device; give"):
            read([str(folder / name)])
    assert list(masks_of(folder, folder / "out")) == ["good.png"]


def test_they_are_left_out_of_a_dataset(tmp_path, monkeypatch):
    for part in ("images", "masks"):
        images.save(tmp_path / part / "a.png", images.marked())
        (tmp_path / part / "folder.png").mkdir()
        pipe(tmp_path / part / "pipe.png")
        device(tmp_path / part / "device.png")
        (tmp_path / part / "loop.png").symlink_to("loop.png")
        (tmp_path / part / "up.png").symlink_to(tmp_path)
    assert [Path(item["image"]).name for item in from_folder(tmp_path)] == ["a.png"]
