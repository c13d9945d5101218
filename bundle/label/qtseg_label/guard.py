# SPDX-License-Identifier: Apache-2.0

"""The guard in front of the server. MONAI Label answers everyone who reaches its port, also web pages.

A page of another site can send requests to a server on the user's machine: by a form, by a script, or by a name of its
own that it lets lead to 127.0.0.1 (DNS rebinding). The browser names the page in such requests, and the guard refuses
them. Viewers that are no browsers name none, and pass.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection
from typing import Any

import monailabel
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from scripts.common.errors import InputError

__all__ = ["TESTED_VERSIONS", "Guard", "check_version", "guard_server"]

#: Versions of MONAI Label that the guard is tested with. PyPI has no newer one.
TESTED_VERSIONS = ("0.8.5",)

_OWN_HOSTS = {"127.0.0.1", "localhost", "::1"}
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\s\[\]:/?#@\\]+))(?::\d{1,5})?")
_KEPT_PAGES = {"/", "/docs", "/openapi.json", "/favicon.ico"}  # of MONAI Label's own routes


class Guard:
    """Middleware that refuses requests of other web pages, and requests to other names than those of the server.

    A request is refused with status 403 and one sentence if

    - its ``Host`` is neither this machine, the address that the server is bound to, nor one of the allowed hosts;
    - its ``Origin`` is another one than the server's own;
    - its ``Sec-Fetch-Site`` is neither ``same-origin`` nor ``none``, which stands for an address typed by the user.

    Args:
        app: application to protect.
        allowed_hosts: further names of the server, in lower case, without port.
    """

    def __init__(self, app: ASGIApp, allowed_hosts: Collection[str] = ()) -> None:
        self.app = app
        self.allowed_hosts = {*_OWN_HOSTS, *allowed_hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = None if scope["type"] == "lifespan" else self._problem(scope)
        if problem is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await JSONResponse({"detail": problem}, 403)(scope, receive, send)

    def _problem(self, scope: Scope) -> str | None:
        def values(name: bytes) -> list[str]:
            return [value.decode("latin-1").strip().lower() for key, value in scope["headers"] if key == name]

        host = ", ".join(values(b"host"))
        match = _HOST.fullmatch(host)
        name = match and (match[1] or match[2])
        bound = (scope.get("server") or ("", None))[0]
        if name not in self.allowed_hosts | {bound}:
            return (
                f"the server was asked by the name {host!r}, which is not its own; use 127.0.0.1, or name the host of "
                "the server by --conf allowed_hosts NAME when you start it"
            )
        if any(origin not in (f"http://{host}", f"https://{host}") for origin in values(b"origin")):
            return f"a web page of another origin, {values(b'origin')[0]!r}, may not use this server"
        if any(site not in ("same-origin", "none") for site in values(b"sec-fetch-site")):
            return "a web page of another site may not use this server; type its address into the browser"
        return None


def check_version() -> None:
    """Check that this version of MONAI Label is one that the guard was tested with.

    Raises:
        InputError: for another version.
    """
    if monailabel.__version__ not in TESTED_VERSIONS:
        raise InputError(
            f"MONAI Label {monailabel.__version__} is installed, but the guard of this app is tested with "
            f"{TESTED_VERSIONS[-1]} only; install what bundle/label/requirements.txt pins"
        )


def guard_server(allowed_hosts: Collection[str]) -> None:
    """Put the guard in front of the server, and the app's own routes in the place of MONAI Label's.

    A process that trains or scores is no server. Nothing is done there.

    Args:
        allowed_hosts: names of the server, besides those of this machine and the address that it is bound to.

    Raises:
        InputError: if this process is a server, and the guard cannot be put in.
    """
    if "uvicorn" not in sys.modules:
        return
    server = getattr(sys.modules.get("monailabel.app"), "app", None)
    if server is None:
        raise InputError("the server is not MONAI Label's own, so it cannot be guarded; start it without --uvicorn_app")
    from .routes import included_routers  # imports modules of the server

    server.user_middleware = [Middleware(Guard, allowed_hosts=allowed_hosts)]  # without CORS, which let all pages in
    server.router.routes[:] = [route for route in server.routes if getattr(route, "path", None) in _KEPT_PAGES]
    for router, prefix in included_routers():
        server.include_router(router, prefix=prefix)
    server.add_exception_handler(InputError, _explained)
    server.add_exception_handler(monailabel_error(), _not_there)
    server.middleware_stack = server.build_middleware_stack()
    if not _is_guarded(server.middleware_stack):
        raise InputError("the guard could not be put in front of the server; install bundle/label/requirements.txt")


def monailabel_error() -> type[Exception]:
    """Return the class of MONAI Label's own errors, of which a request for an unknown model or image is one."""
    from monailabel.interfaces.exception import MONAILabelException

    return MONAILabelException


def _is_guarded(layer: Any) -> bool:
    """Return whether the guard is among the layers around the routes."""
    while layer is not None and not isinstance(layer, Guard):
        layer = getattr(layer, "app", None)
    return layer is not None


async def _explained(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 422)


async def _not_there(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": getattr(error, "msg", str(error))}, 404)
