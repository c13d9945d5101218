# SPDX-License-Identifier: Apache-2.0

"""The routes of the server, in the place of MONAI Label's own ones.

They have the same paths, parameters and answers, but of what a client sends, they pass on only what the app uses, and
only after a check. So no client decides on a path, a setting of a config, or an environment variable.
"""

from __future__ import annotations

import os
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import Response
from monailabel.config import settings
from monailabel.endpoints import info, login, logs

from . import datastore_routes, task_routes
from .received import ADMIN, new_router

__all__ = ["included_routers"]

# What MONAI Label serves and this app does not, and what to do instead.
_OFF = {
    "session": "put the image into the folder of images, or upload it to the datastore",
    "proxy": "ask the DICOMweb server itself",
    "reload": "start the server anew",
    "batch": "run an inference on the folder of images, as docs/inference.md shows",
    "model": "copy the files in the folder of --conf ckpt_dir",
    "ohif": "use 3D Slicer, CVAT or QuPath",
    "static": "use 3D Slicer, CVAT or QuPath",
}

router = new_router()


def included_routers() -> list[tuple[APIRouter, str]]:
    """Return the routers of the server, and the prefix of the paths of each."""
    routers = [info.router, task_routes.router, datastore_routes.router, router]
    if settings.MONAI_LABEL_AUTH_ENABLE:
        routers.append(login.router)
    return [(included, settings.MONAI_LABEL_API_STR) for included in routers]


@router.get("/logs/", dependencies=ADMIN)
async def last_log_lines(lines: Annotated[int, Query(ge=1, le=100_000)] = 300) -> Response:
    """Return the last lines of the server's log."""
    return logs.get_logs(os.path.join(settings.MONAI_LABEL_APP_DIR, "logs", "app.log"), lines, False, True, 0)


def _turn_off(name: str, cure: str) -> None:
    async def refuse() -> None:
        raise HTTPException(404, f"/{name} is switched off, as clients could do harm by it; {cure}")

    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    for path in (f"/{name}", f"/{name}/{{rest:path}}"):
        router.add_api_route(path, refuse, methods=methods, include_in_schema=False)


for _name, _cure in _OFF.items():
    _turn_off(_name, _cure)
