# SPDX-License-Identifier: Apache-2.0

"""The journey: train, evaluate, infer; through the configs, as users run them."""

from __future__ import annotations

import json
import shutil

import mlflow
import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow
from monai.utils import path_to_sqlite_uri
from PIL import Image

from scripts.checkpoints.model_schema import PUBLISHED
from scripts.checkpoints.state_dicts import load_weights
from scripts.common.errors import InputError
from scripts.evaluation.scores import read_scores
from scripts.networks.qtseg import QTSeg
from trainings import launcher
from workflows import BUNDLE, CONFIGS, causes, config_files, run, run_command, train_small


def test_training_leaves_a_plain_state_dict_and_its_settings(trained, blobs):
    weights = torch.load(trained.ckpt_dir / "model.pt", weights_only=True)
    QTSeg(3, 2).load_state_dict(weights, strict=True)
    assert trained.settings.keys() >= PUBLISHED.keys()  # else a later version would refuse the model
    assert trained.settings["spatial_size"] == [64, 64]
    assert trained.settings["dataset_dir"] == str(blobs)
    split = json.loads(next(trained.output_dir.glob("train_*/split.json")).read_text())["folds"][0]
    parts = {name: image["part"] for name, image in trained.settings["images"].items()}
    assert parts == {name: part for part, names in split.items() for name in names}
    assert (len(split["train"]), len(split["validate"]), len(split["test"])) == (7, 1, 3)
    assert not (trained.output_dir / "model.pt").exists()


def test_training_state_lies_apart(trained):
    (path,) = trained.output_dir.glob("train_*/checkpoint_epoch=3_step=*.pt")
    parts = torch.load(path, weights_only=True)["parts"]
    assert set(parts) == {"network", "optimizer", "lr_scheduler", "curves", "early_stopping"}
    assert load_weights(QTSeg(3, 2), path) == []  # a training can start from it, too


def test_training_is_one_complete_mlflow_run(trained, blobs):
    client = mlflow.MlflowClient(path_to_sqlite_uri(str(trained.output_dir / "mlruns.db")))
    (experiment,) = [e for e in client.search_experiments() if e.name == "qtseg"]
    (run_,) = client.search_runs(experiment.experiment_id)
    assert run_.info.status == "FINISHED"
    assert run_.info.run_name.startswith("train_")
    assert run_.data.params["dataset_dir"] == str(blobs)
    assert run_.data.params["max_epochs"] == "3"
    assert {"train_loss", "val_dice", "val_iou", "val_mae", "val_accuracy"} <= set(run_.data.metrics)
    for name, steps in {"train_loss": [1, 2, 3], "val_dice": [2, 3]}.items():
        assert [m.step for m in client.get_metric_history(run_.info.run_id, name)] == steps
    assert any("lr" in name for name in run_.data.metrics)
    artifacts = {item.path for item in client.list_artifacts(run_.info.run_id)}
    assert {"model.pt", "model.json", "config.json", "split.json", "data_check.json", "validation"} <= artifacts
    assert (trained.output_dir / "mlruns").is_dir()  # also where the path has a blank
    (picture,) = client.list_artifacts(run_.info.run_id, "validation")
    assert picture.path.endswith("epoch_0002.png")
    executed = json.loads((trained.output_dir / run_.info.run_name / "config.json").read_text())
    assert executed["max_epochs"] == 3 and executed["train"]["trainer"]["_target_"] == "SupervisedTrainer"


def test_the_bundle_prints_what_it_found_and_where_everything_is(blobs, tmp_path):
    done = run_command(
        *("run", "training", "--config_file", str(CONFIGS / "train.json"), "--bundle_root", str(BUNDLE)),
        *("--dataset_dir", str(blobs), "--ckpt_dir", str(tmp_path / "m"), "--output_dir", str(tmp_path / "o")),
        *("--spatial_size", "[32,64]", "--batch_size", "4", "--max_epochs", "1", "--tracking", "mlflow"),
        cwd=tmp_path,  # not the bundle's folder
    )
    assert done.returncode == 0, done.stderr
    counts = "7 images to train, 1 to choose the epoch, 3 to score (fold 0 of 5, split "
    for text in (counts, "held-out protocol", "11 images of ", "9,214,850 parameters", "2 classes", "device:"):
        assert text in done.stdout
    assert "batch_size 4" in done.stdout and "val_dice" in done.stdout
    assert str(tmp_path / "m" / "model.pt") in done.stdout and "mlflow ui" in done.stdout
    assert (tmp_path / "m" / "model.pt").is_file()
    # the flag adds nothing to the run that is there without it
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'o' / 'mlruns.db'}")
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert len(runs) == 1
    assert len(client.get_metric_history(runs[0].info.run_id, "train_loss")) == 1


def test_evaluation_agrees_with_the_masks_of_inference(trained, blobs, tmp_path):
    run("train", "evaluate", ckpt_dir=str(trained.ckpt_dir), output_dir=str(tmp_path))
    run("inference", ckpt_dir=str(trained.ckpt_dir), output_dir=str(tmp_path / "masks"), dataset_dir=str(blobs))
    assert len(list((tmp_path / "masks").glob("*.png"))) == 11
    for row in read_scores(tmp_path / "evaluation").values():
        stem = row["image"].rsplit("/", 1)[1].rsplit(".", 1)[0]
        pred = np.asarray(Image.open(tmp_path / "masks" / f"{stem}.png")) > 0
        label = np.asarray(Image.open(blobs / "masks" / f"{stem}.png")) > 127
        assert float(row["mae"]) == pytest.approx((pred != label).mean(), abs=1e-5)


def test_inference_never_overwrites_what_it_has_not_written(trained, blobs, tmp_path):
    shutil.copytree(blobs, tmp_path / "data")
    before = {path: path.read_bytes() for path in (tmp_path / "data").rglob("*.*")}
    for folder in ("images", "masks"):
        with pytest.raises(RuntimeError) as failure:
            run(
                "inference",
                ckpt_dir=str(trained.ckpt_dir),
                dataset_dir=str(tmp_path / "data"),
                output_dir=str(tmp_path / "data" / folder),
            )
        told = "folder of the images" if folder == "images" else "overwritten"
        assert any(isinstance(error, InputError) and told in str(error) for error in causes(failure.value))
    assert {path: path.read_bytes() for path in (tmp_path / "data").rglob("*.*")} == before


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
@pytest.mark.parametrize("size", [(96, 64), (50, 97), (130, 40), (200, 199)])
def test_masks_come_back_unflipped_and_untransposed(suffix, size, tmp_path):
    width, height = size
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 4, -(width // 3) :, 0] = 255  # a red corner, at the top right
    pixels[-1, 0] = 255  # and white, so that the image spans the range
    (tmp_path / "images").mkdir()
    Image.fromarray(pixels).save(tmp_path / "images" / f"scan.{suffix}", quality=100, subsampling=0)
    run(
        "inference",
        dataset_dir=str(tmp_path / "images"),
        ckpt_dir=str(tmp_path / "no model"),
        output_dir=str(tmp_path / "masks"),
        spatial_size=[128, 128],
        network_def={"_target_": "workflows.RedIsForeground"},
        overlays=True,
        run=["$@evaluator.run()"],
    )
    with Image.open(tmp_path / "masks" / "scan.png") as mask:
        assert mask.size == size and mask.mode == "P"
        predicted = np.asarray(mask)
    expected = pixels[..., 0] > pixels[..., 1]
    assert (predicted == expected).mean() > 0.97
    assert predicted[0, -1] == 1 and predicted[0, 0] == predicted[-1, 0] == predicted[-1, -1] == 0
    with Image.open(tmp_path / "masks" / "overlays" / "scan.png") as overlay:
        assert overlay.size == size


def test_fine_tuning_never_keeps_a_worse_model_than_it_started_from(trained, blobs, tmp_path):
    # a learning rate that ruins the model: of the first epoch, a 25th of this
    ruin = {"learning_rate": 25.0, "schedule_by_step": False}
    train_small(tmp_path, blobs, weights=str(trained.ckpt_dir / "model.pt"), **ruin)
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'eval' / 'mlruns.db'}")
    (run_,) = client.search_runs([e.experiment_id for e in client.search_experiments()])
    before, after = client.get_metric_history(run_.info.run_id, "val_dice")
    assert (before.step, after.step) == (0, 1) and before.value > after.value
    assert run_.data.params["max_epochs"] == "1"  # the trainer's, though the validation came first
    start, best = (torch.load(f / "model.pt", weights_only=True) for f in (trained.ckpt_dir, tmp_path / "models"))
    assert all(torch.equal(start[key], best[key]) for key in start)


def test_encoder_weights_are_frozen_and_kept(trained, blobs, tmp_path):
    train_small(tmp_path, blobs, encoder_weights=str(trained.ckpt_dir / "model.pt"))
    before, after = (torch.load(f / "model.pt", weights_only=True) for f in (trained.ckpt_dir, tmp_path / "models"))
    for key in before:
        same = torch.equal(before[key], after[key])
        assert same or not key.startswith("encoder."), key
    assert not torch.equal(before["decoder.tokens"], after["decoder.tokens"])


def test_several_classes(tmp_path):
    random = np.random.RandomState(0)
    for part in ("images", "labels"):
        (tmp_path / "data" / part).mkdir(parents=True)
    for i in range(5):
        ids = np.zeros((40, 60), np.uint8)
        ids[5 + 3 * i : 20 + 3 * i, 5:25], ids[20 - 4 * i : 35 - 4 * i, 30:55] = 1, 2
        Image.fromarray(ids).save(tmp_path / "data" / "labels" / f"{i}.png")
        Image.fromarray((ids * 80 + random.randint(0, 20, ids.shape)).astype(np.uint8)).save(
            tmp_path / "data" / "images" / f"{i}.bmp"
        )
    train_small(tmp_path, tmp_path / "data", out_channels=3, spatial_size=64, batch_size=2)
    run("train", "evaluate", ckpt_dir=str(tmp_path / "models"), output_dir=str(tmp_path / "eval"))
    (row,) = read_scores(tmp_path / "eval" / "evaluation").values()
    assert float(row["dice"]) == pytest.approx((float(row["dice_1"]) + float(row["dice_2"])) / 2, abs=1e-5)


@pytest.fixture
def own_bundle(tmp_path):
    """A copy of the bundle, for runs that write into it."""
    root = tmp_path / "bundle"
    for part in ("configs", "scripts"):
        shutil.copytree(BUNDLE / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
    return root


def test_required_properties_are_there(own_bundle, trained, blobs):
    training = ConfigWorkflow(config_files_of(own_bundle, "train"), workflow_type="train", bundle_root=str(own_bundle))
    training.initialize()
    assert training.check_properties() == []
    inference = ConfigWorkflow(
        config_files_of(own_bundle, "inference"),
        workflow_type="infer",
        bundle_root=str(own_bundle),
        dataset_dir=str(blobs),
    )
    inference.initialize()
    assert inference.check_properties() == []


def config_files_of(root, *names):
    return [str(root / "configs" / f"{name}.json") for name in names]


def test_two_processes_write_one_checkpoint_and_one_run(blobs, tmp_path):
    files = config_files("train", "multi_gpu_train")
    done = run_command(
        *("run", "training", "--config_file", str(files), "--bundle_root", str(BUNDLE), "--dataset_dir", str(blobs)),
        *("--ckpt_dir", str(tmp_path / "m"), "--output_dir", str(tmp_path / "o"), "--spatial_size", "[32,32]"),
        *("--batch_size", "2", "--max_epochs", "1", "--validation_share", "0.3"),
        cwd=tmp_path,
        launcher=launcher(2),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch   1/1") == 1 and "2 process(es)" in done.stdout
    assert [path.name for path in (tmp_path / "m").iterdir() if path.suffix == ".pt"] == ["model.pt"]
    QTSeg(3, 2).load_state_dict(torch.load(tmp_path / "m" / "model.pt", weights_only=True), strict=True)
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'o' / 'mlruns.db'}")
    assert len(client.search_runs([e.experiment_id for e in client.search_experiments()])) == 1
