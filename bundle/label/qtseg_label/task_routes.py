# SPDX-License-Identifier: Apache-2.0

"""The routes of the model: inference, training, scoring, and the choice of the next image."""

from __future__ import annotations

import time
from typing import Any, Literal

from fastapi import BackgroundTasks, HTTPException, UploadFile
from monailabel.endpoints import infer, scoring, train, wsi_infer
from monailabel.interfaces.utils.app import app_instance
from monailabel.utils.async_tasks.task import AsyncTask
from monailabel.utils.async_tasks.utils import processes, tasks

from scripts.common.errors import InputError

from .received import (
    ADMIN,
    ANNOTATOR,
    MOST_IMAGE,
    USER,
    Text,
    Upload,
    Values,
    image_file,
    json_object,
    new_router,
    studies,
)
from .train import training_knobs

__all__ = ["router"]

router = new_router()


@router.post("/infer/{model}", dependencies=USER, max_body_size=MOST_IMAGE)
async def infer_image(
    background_tasks: BackgroundTasks,
    model: str,
    image: str = "",
    params: Text = "{}",
    file: Upload = None,
    output: Literal["image", "json", "all"] | None = None,
) -> Any:
    """Segment an image of the datastore, or one that is sent."""
    values = json_object(params)
    names = ("result_extension",) if output == "image" else ("output", "result_extension")
    request = {name: values[name] for name in names if isinstance(values.get(name), str)}
    with image_file(image, file) as path:
        result = app_instance().infer({"model": model, "image": path, **request})
    return infer.send_response(studies(), result, output, background_tasks)


@router.post("/infer/wsi/{model}", dependencies=USER)
async def infer_slide(
    background_tasks: BackgroundTasks,
    model: str,
    image: str = "",
    wsi: Values = None,
    output: Literal["asap", "dsa", "json"] | None = None,
) -> Any:
    """Segment an image of the datastore for a viewer of pathology."""
    return _slide(background_tasks, model, image, None, wsi or {}, output)


@router.post("/infer/wsi_v2/{model}", dependencies=USER, max_body_size=MOST_IMAGE)
async def infer_sent_slide(
    background_tasks: BackgroundTasks,
    model: str,
    image: str = "",
    file: Upload = None,
    wsi: Text = "{}",
    output: Literal["asap", "dsa", "json"] | None = None,
) -> Any:
    """Segment an image that a viewer of pathology sends."""
    return _slide(background_tasks, model, image, file, json_object(wsi), output)


def _slide(
    background_tasks: BackgroundTasks,
    model: str,
    image: str,
    file: UploadFile | None,
    values: dict[str, Any],
    output: str | None,
) -> Any:
    places = {name: _place(name, values[name]) for name in ("location", "size") if values.get(name) is not None}
    with image_file(image, file) as path:
        result = app_instance().infer_wsi({"model": model, "image": path, "output": output, **places})
    return wsi_infer.send_response(studies(), result, output, background_tasks)


def _place(name: str, value: Any) -> list[int]:
    """Check a place in the image, which is only repeated in the answer: the whole image is segmented."""
    numbers = value if isinstance(value, list) else []
    if len(numbers) != 2 or not all(type(number) is int and abs(number) < 2**31 for number in numbers):
        raise InputError(f"{name} is {str(value)[:80]}; send two whole numbers")
    return numbers


@router.get("/train/", dependencies=USER)
async def training_status(all: bool = False, check_if_running: bool = False) -> Any:
    """Return what the last training says."""
    return train.status(all, check_if_running)


@router.post("/train/{model}", dependencies=ADMIN)
async def start_training(model: str, params: Values = None) -> Any:
    """Start a training, unless one is running."""
    return _start("train", {"model": _task(model, "trainers"), **training_knobs(params or {})})


@router.post("/train/", dependencies=ADMIN)
async def start_trainings(params: Values = None) -> Any:
    """Start the training of the one model there is."""
    knobs = (params or {}).get("qtseg", params)  # some clients send the knobs by model
    task = await start_training("qtseg", knobs if isinstance(knobs, dict) else None)
    return {"qtseg": {"result": task, "detail": None}}


@router.delete("/train/", dependencies=ADMIN)
async def stop_training() -> Any:
    """Stop the training."""
    return train.stop()


@router.get("/scoring/", dependencies=USER)
async def scoring_status(all: bool = False, check_if_running: bool = False) -> Any:
    """Return what the last scoring says."""
    return scoring.status(all, check_if_running)


@router.post("/scoring/{method}", dependencies=ANNOTATOR)
async def start_scoring(method: str, run_sync: bool = False) -> Any:
    """Score the model, unless that is being done."""
    return _start("scoring", {"method": _task(method, "scoring")}, now=run_sync)


@router.post("/scoring/", dependencies=ANNOTATOR)
async def start_scorings(run_sync: bool = False) -> Any:
    """Score the model by the one method there is."""
    return {"dice": {"result": await start_scoring("dice", run_sync), "detail": None}}


@router.delete("/scoring/", dependencies=ANNOTATOR)
async def stop_scoring() -> Any:
    """Stop the scoring."""
    return scoring.stop()


def _start(kind: str, request: dict[str, Any], *, now: bool = False) -> Any:
    """Start a process that trains or scores. Nothing else happens in this thread, so no second one can slip in."""
    waiting = any(task["status"] == "SUBMITTED" for task in tasks(kind)[-1:])
    if waiting or any(process.poll() is None for process in processes(kind).values()):
        raise HTTPException(409, f"a {kind} task is running; wait until it ends, or stop it by DELETE /{kind}/")
    return AsyncTask.run(kind, request=request, force_sync=now, enqueue=True)[0]


def _task(name: str, kind: str) -> str:
    known = app_instance().info()[kind]
    if name not in known:
        raise HTTPException(404, f"there is no {name[:80]!r} among the {kind}; use one of {', '.join(known)}")
    return name


@router.post("/activelearning/{strategy}", dependencies=USER)
async def next_image(strategy: str, params: Values = None) -> Any:
    """Choose the next image to label."""
    seed, client = ((params or {}).get(name) for name in ("seed", "client_id"))
    request = {"strategy": _task(strategy, "strategies"), "seed": seed if type(seed) is int else None}
    choice = app_instance().next_sample(request)
    if not choice:
        return {}
    facts = studies().get_image_info(choice["id"])
    earlier = facts.get("strategy")
    now = {"ts": int(time.time()), "client_id": client[:200] if isinstance(client, str) else None}
    chosen = {**(earlier if isinstance(earlier, dict) else {}), strategy: now}
    studies().update_image_info(choice["id"], {"strategy": chosen})
    return {**facts, "strategy": chosen, **choice}
