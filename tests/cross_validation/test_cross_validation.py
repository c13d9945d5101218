# SPDX-License-Identifier: Apache-2.0

"""Cross-validation as its users run it: the command, in processes of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import mlflow
import numpy as np
import pytest

import images
from scripts.cross_validation.__main__ import main
from scripts.cross_validation.fold_runs import FoldRuns
from workflows import BUNDLE, CONFIGS

SMALL = ("--num_folds", "2", "--spatial_size", "[32,32]", "--batch_size", "4", "--max_epochs", "2")


def arguments(folder: Path, dataset_dir: Path) -> list[str]:
    files = ["--config_file", str(CONFIGS / "train.json"), "--bundle_root", str(BUNDLE)]
    return [*files, "--output_dir", str(folder), "--dataset_dir", str(dataset_dir), *SMALL]


def start(folder: Path, dataset_dir: Path) -> subprocess.Popen:
    """The command on one thread."""
    command = [sys.executable, "-m", "scripts.cross_validation", *arguments(folder, dataset_dir)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(BUNDLE)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=folder.parent, env=environment, **pipes)


@pytest.fixture(scope="module")
def validated(blobs, tmp_path_factory) -> SimpleNamespace:
    """A cross-validation on small images, with all that it has written and told."""
    folder = tmp_path_factory.mktemp("cross validation") / "cv"
    with start(folder, blobs) as process:
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return SimpleNamespace(folder=folder, output=output, table=json.loads((folder / "folds.json").read_text()))


def test_all_folds_are_in_one_table(validated):
    split = json.loads((validated.folder / "split.json").read_text())
    assert list(validated.table["folds"]) == ["0", "1"]
    for fold, found in validated.table["folds"].items():
        assert found["num_images"] == len(split["folds"][int(fold)]["test"])
        summary = json.loads((validated.folder / f"fold_{fold}" / "evaluation" / "summary.json").read_text())
        dice = summary["protocols"][0]["scores"]["dice"]
        assert found["scores"]["dice"] == pytest.approx(dice, abs=1e-5)
    every = validated.table["all"]
    assert every["num_images"] == 11
    sizes, means = zip(*((f["num_images"], f["scores"]["dice"]["mean"]) for f in validated.table["folds"].values()))
    assert every["scores"]["dice"]["mean"] == pytest.approx(np.average(means, weights=sizes))
    assert every["scores"]["dice"]["sd_of_folds"] == pytest.approx(np.std(means, ddof=1))
    assert (validated.folder / "folds.md").read_text() in validated.output
    assert "| all | 11 |" in validated.output and "held-out protocol" in validated.output


def test_folds_are_children_of_one_run(validated):
    client = mlflow.MlflowClient(f"sqlite:///{validated.folder / 'mlruns.db'}")
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    (parent,) = [each for each in runs if "mlflow.parentRunId" not in each.data.tags]
    children = [each for each in runs if each is not parent]
    assert {each.data.tags["mlflow.parentRunId"] for each in children} == {parent.info.run_id}
    assert sorted(each.info.run_name.split("_")[1] for each in children) == ["0", "0", "1", "1"]  # train, score
    assert {each.info.status for each in runs} == {"FINISHED"}
    assert parent.data.metrics["dice"] == pytest.approx(validated.table["all"]["scores"]["dice"]["mean"])
    assert {"folds.md", "split.json", "data_check.json"} <= {f.path for f in client.list_artifacts(parent.info.run_id)}


def test_the_check_of_all_folds_lies_beside_them(validated):
    assert json.loads((validated.folder / "data_check.json").read_text())["leaks"] == []


def test_what_monai_says_of_itself_stays_in_the_log(validated):
    assert "input summary" in (validated.folder / "fold_0" / "log.txt").read_text()
    assert "input summary" not in validated.output
    assert "fold_1 | " in validated.output and "epoch   2/2" in validated.output


def test_a_run_that_was_deleted_is_begun_anew(validated, blobs, tmp_path):
    folder = Path(shutil.copytree(validated.folder, tmp_path / "cv"))
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlruns.db'}")
    deleted = (folder / ".parent_run").read_text()
    client.delete_run(deleted)
    main(arguments(folder, blobs))
    taken = (folder / ".parent_run").read_text()
    assert taken != deleted and client.get_run(taken).info.status == "FINISHED"


def test_other_images_are_refused(validated, blobs, tmp_path, capsys):
    more = Path(shutil.copytree(blobs, tmp_path / "blobs"))
    folder = Path(shutil.copytree(validated.folder, tmp_path / "cv"))
    settings = json.loads((folder / "cross_validation.json").read_text())
    (folder / "cross_validation.json").write_text(json.dumps({**settings, "dataset_dir": str(more)}))
    for part in ("images", "masks"):
        shutil.copy(more / part / "case 03.png", more / part / "case 99.png")
    with pytest.raises(SystemExit):
        main(arguments(folder, more))
    assert "was begun with other images or groups; give another --output_dir" in capsys.readouterr().err


def test_masks_that_were_mended_since_are_refused(validated, blobs, tmp_path, capsys):
    mended = Path(shutil.copytree(blobs, tmp_path / "blobs"))
    folder = Path(shutil.copytree(validated.folder, tmp_path / "cv"))
    settings = json.loads((folder / "cross_validation.json").read_text())
    (folder / "cross_validation.json").write_text(json.dumps({**settings, "dataset_dir": str(mended)}))
    main(arguments(folder, mended))  # the same images in another place
    mask = images.opened(mended / "masks" / "case 03.png")
    images.save(mended / "masks" / "case 03.png", np.asarray(mask)[::-1, ::-1])
    with pytest.raises(SystemExit):
        main(arguments(folder, mended))
    assert "cv is of another training (images_digest was " in capsys.readouterr().err


def test_folds_of_an_earlier_version_are_not_mixed_with_new_ones(validated, blobs, tmp_path, capsys):
    folder = Path(shutil.copytree(validated.folder, tmp_path / "cv"))
    (folder / "training.json").unlink()
    with pytest.raises(SystemExit):
        main(arguments(folder, blobs))
    assert "cv has folds of an earlier version, maybe others" in capsys.readouterr().err


def test_a_cross_validation_that_an_earlier_version_began_is_told_in_one_sentence(validated, blobs, tmp_path, capsys):
    folder = Path(shutil.copytree(validated.folder, tmp_path / "cv"))
    claim = json.loads((folder / "training.json").read_text())
    assert claim.pop("format") == 1 and claim.pop("sections")["loss"]["smooth_nr"] == 1e-6
    (folder / "training.json").write_text(json.dumps({**claim, "config_digest": "0123456789ab"}))
    with pytest.raises(SystemExit):
        main(arguments(folder, blobs))
    said = capsys.readouterr().err
    assert said == (
        f"{folder} was begun by an earlier version of the bundle, whose trainings cannot be compared with those of "
        "this one; give another --output_dir, or go on with the version that began it\n"
    )


def test_a_mistake_is_one_sentence_and_locks_no_folder(blobs, tmp_path, capsys):
    for mistake in (["--group", "q"], ["--max_epochs", "0"], ["--fold", "1"], ["--max_epoch", "3"]):
        with pytest.raises(SystemExit):
            main([*arguments(tmp_path / "cv", blobs), *mistake])
        told = capsys.readouterr().err
        assert mistake[0][2:] in told and len(told.splitlines()) == 1 and "instantiate" not in told
    assert not (tmp_path / "cv" / "cross_validation.json").exists()


def test_what_is_done_is_not_done_again(validated, blobs, capsys):
    before = {path: path.stat().st_mtime_ns for path in validated.folder.glob("fold_*/model.pt")}
    main(arguments(validated.folder, blobs))
    assert (validated.folder / "folds.md").read_text() in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in validated.folder.glob("fold_*/model.pt")} == before


def test_other_settings_are_refused(validated, blobs, capsys):
    with pytest.raises(SystemExit):
        main([*arguments(validated.folder, blobs), "--seed", "3"])
    told = capsys.readouterr().err
    assert "was begun with seed None, now it is 3; set it as it was to go on, or give another" in told


def test_killed_in_its_second_fold_it_goes_on_to_the_same_table(validated, blobs, tmp_path):
    folder = Path(shutil.copytree(validated.folder, tmp_path / "cv"))  # with the first fold; of the second, nothing
    log = folder / "fold_1" / "log.txt"
    shutil.rmtree(log.parent)
    for name in ("folds.md", "folds.json", "mlruns.db"):
        (folder / name).unlink()
    waited = time.monotonic()
    with start(folder, blobs) as process:
        while not (log.is_file() and "epoch   1/2" in log.read_text()):
            assert process.poll() is None and time.monotonic() - waited < 240
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert (folder / "fold_0" / "done").is_file() and not (folder / "fold_1" / "done").exists()
    with start(folder, blobs) as again:
        output, _ = again.communicate(timeout=240)
    assert again.returncode == 0, output
    assert "to train now: 1" in output
    assert (folder / "folds.md").read_text() == (validated.folder / "folds.md").read_text()
    table = json.loads((folder / "folds.json").read_text())
    assert table == validated.table
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlruns.db'}")
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert sorted(each.info.status for each in runs) == ["FINISHED"] * 3  # parent, train, score


def test_folds_are_spread_over_devices(validated, blobs, tmp_path, monkeypatch):
    running: list[str] = []
    ran: dict[int, str] = {}

    def run_fold(self: FoldRuns, fold: int, *, device: str, parent_run: str) -> None:
        assert device not in running  # one fold at a time on each
        running.append(device)
        time.sleep(0.2)
        ran[fold] = device
        running.remove(device)
        shutil.copytree(validated.folder / "fold_0", self.model(fold))

    monkeypatch.setattr(FoldRuns, "run", run_fold)
    main([*arguments(tmp_path / "cv", blobs), "--num_folds", "5", "--devices", "3", "1"])
    assert sorted(ran) == [0, 1, 2, 3, 4] and set(ran.values()) == {"3", "1"}


def test_after_a_failed_fold_what_is_done_is_summed_up(validated, blobs, tmp_path, monkeypatch, capsys):
    begun = []

    def run_fold(self: FoldRuns, fold: int, *, device: str | None, parent_run: str) -> None:
        begun.append(fold)
        if fold == 1:
            raise RuntimeError("fold 1 failed in training")
        shutil.copytree(validated.folder / "fold_0", self.model(fold))

    monkeypatch.setattr(FoldRuns, "run", run_fold)
    command = [*arguments(tmp_path / "cv", blobs), "--num_folds", "4"]
    with pytest.raises(SystemExit):
        main(command)
    assert begun == [0, 1] and "fold 1 failed in training" in capsys.readouterr().err
    assert list(json.loads((tmp_path / "cv" / "folds.json").read_text())["folds"]) == ["0"]
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'cv' / 'mlruns.db'}")
    (parent,) = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert parent.info.status == "FAILED" and "dice" in parent.data.metrics
    monkeypatch.setattr(FoldRuns, "run", lambda self, fold, **_: shutil.copytree(self.model(0), self.model(fold)))
    main(command)
    assert list(json.loads((tmp_path / "cv" / "folds.json").read_text())["folds"]) == ["0", "1", "2", "3"]
    assert client.get_run(parent.info.run_id).info.status == "FINISHED"


def test_the_environment_names_one_place_for_all_runs(validated, blobs, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    folder = Path(shutil.copytree(validated.folder, tmp_path / "cv"))
    main(arguments(folder, blobs))
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'elsewhere.db'}")
    (parent,) = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert parent.info.status == "FINISHED" and (folder / ".parent_run").read_text() == parent.info.run_id


def test_an_official_split_is_not_cross_validated(tmp_path, blobs, capsys):
    for part in ("train", "test"):
        shutil.copytree(blobs, tmp_path / "data" / part)
    with pytest.raises(SystemExit):
        main(arguments(tmp_path / "cv", tmp_path / "data"))
    assert "the split has one fold; set --split grouped, which cuts all images anew" in capsys.readouterr().err
