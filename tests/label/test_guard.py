# SPDX-License-Identifier: Apache-2.0

"""The guard in front of the server, without a server. Runs where MONAI Label is installed."""

from __future__ import annotations

import asyncio
import json
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from packaging.requirements import Requirement

from scripts.common.errors import InputError
from workflows import BUNDLE

pytest.importorskip("monailabel")


def asked(app: Any, headers: list[tuple[str, str]], kind: str = "http") -> dict[str, Any]:
    """The first message that an application behind the guard sends, for a server at 192.168.1.5."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": kind,
        "server": ("192.168.1.5", 8000),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
    }
    asyncio.run(app(scope, receive, send))
    return {**sent[0], "detail": json.loads(sent[1]["body"])["detail"] if len(sent) > 1 else ""}


@pytest.fixture
def guard(app) -> Any:
    from qtseg_label.guard import Guard

    async def let_through(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})

    return Guard(let_through, ["annotation.lan", "fd00::1"])


@pytest.mark.parametrize("headers", [
    [("Host", "127.0.0.1:8000")],  # 3D Slicer, CVAT and QuPath send nothing else
    [("Host", "localhost")],
    [("Host", "LOCALHOST:9000")],  # through a tunnel
    [("Host", "[::1]:8000")],
    [("Host", "192.168.1.5:8000")],  # where it is bound
    [("Host", "annotation.lan")],
    [("Host", "[fd00::1]:8000")],
    [("Host", "127.0.0.1:8000"), ("Origin", "http://127.0.0.1:8000"), ("Sec-Fetch-Site", "same-origin")],
    [("Host", "annotation.lan"), ("Origin", "https://annotation.lan"), ("Sec-Fetch-Site", "same-origin")],
    [("Host", "127.0.0.1:8000"), ("Sec-Fetch-Site", "none")],  # typed by the user
])
def test_viewers_and_own_pages_pass(headers, guard):
    assert asked(guard, headers)["status"] == 200


@pytest.mark.parametrize("host", [
    "", "evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example",
    "evil.example#127.0.0.1", "127.0.0.1@evil.example",
    "evil.example:8000:127.0.0.1", "localhost/", "localhost\\", " ", "[::1", "::1", "[::1]x",
    "127.0.0.1:x", "127.0.0.1:", "0.0.0.0:8000", "192.168.1.6", "2130706433", "127.1", "annotation.lan.evil.example",
    "127.0.0.1, evil.example", "localh\u00f6st",
])
def test_other_names_are_refused(host, guard):
    answer = asked(guard, [("Host", host)])
    assert answer["status"] == 403 and "which is not its own; use 127.0.0.1, or name the host" in answer["detail"]


def test_one_host_is_named(guard):
    assert asked(guard, [("Host", "127.0.0.1"), ("Host", "evil.example")])["status"] == 403
    assert asked(guard, [("Host", "evil.example"), ("Host", "127.0.0.1")])["status"] == 403
    assert asked(guard, [])["status"] == 403


@pytest.mark.parametrize("origin", [
    "http://evil.example", "null", "", "http://127.0.0.1:9999", "http://localhost:8000", "http://127.0.0.1",
    "http://127.0.0.1:8000.evil.example", "http://127.0.0.1:8000@evil.example", "file://", "ftp://127.0.0.1:8000",
    "http://127.0.0.1:8000/", "chrome-extension://abc", "127.0.0.1:8000",
])
def test_other_origins_are_refused(origin, guard):
    answer = asked(guard, [("Host", "127.0.0.1:8000"), ("Origin", origin)])
    assert answer["status"] == 403
    assert answer["detail"] == f"a web page of another origin, {origin!r}, may not use this server"


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "nonsense"])
def test_other_sites_are_refused(site, guard):
    answer = asked(guard, [("Host", "127.0.0.1:8000"), ("Sec-Fetch-Site", site)])
    assert answer["status"] == 403 and "a web page of another site may not use this server" in answer["detail"]


def test_one_right_header_does_not_help_a_wrong_one(guard):
    own = [("Host", "127.0.0.1:8000"), ("Origin", "http://127.0.0.1:8000"), ("Sec-Fetch-Site", "same-origin")]
    for wrong in (("Origin", "http://evil.example"), ("Sec-Fetch-Site", "cross-site"), ("Host", "evil.example")):
        assert asked(guard, [*own, wrong])["status"] == 403
        assert asked(guard, [wrong, *own])["status"] == 403


def test_web_sockets_are_guarded_too(guard):
    assert asked(guard, [("Host", "evil.example")], "websocket")["type"] == "websocket.close"


def test_only_tested_versions_of_monai_label_start(app, tmp_path, monkeypatch):
    from qtseg_label.guard import TESTED_VERSIONS

    lines = (BUNDLE / "label" / "requirements.txt").read_text().splitlines()
    (pinned,) = (Requirement(line) for line in lines if line.startswith("monailabel=="))
    assert str(pinned.specifier).removeprefix("==") in TESTED_VERSIONS
    for version in ("0.8.4", "0.8.6", "unknown"):
        monkeypatch.setattr("monailabel.__version__", version)
        with pytest.raises(InputError, match=f"MONAI Label {version} is installed, but the guard of this app is"):
            app.QTSegApp("", str(tmp_path), {})


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what MONAI Label's routes import
def test_no_server_starts_without_the_guard(app, tmp_path, monkeypatch):
    conf = {"ckpt_dir": str(tmp_path / "models")}
    monkeypatch.setitem(sys.modules, "uvicorn", SimpleNamespace())  # then this process is a server
    monkeypatch.setitem(sys.modules, "monailabel.app", None)
    with pytest.raises(InputError, match="the server is not MONAI Label's own, so it cannot be guarded"):
        app.QTSegApp("", str(tmp_path), conf)
    from fastapi import FastAPI

    class Another(FastAPI):
        def build_middleware_stack(self) -> Any:
            return self.router

    monkeypatch.setitem(sys.modules, "monailabel.app", SimpleNamespace(app=Another()))
    with pytest.raises(InputError, match="the guard could not be put in front of the server"):
        app.QTSegApp("", str(tmp_path), conf)


def test_images_lie_in_a_folder(app):
    with pytest.raises(InputError, match="--studies is http://127.0.0.1:8042/dicom-web; give a folder of images"):
        app.QTSegApp("", "http://127.0.0.1:8042/dicom-web", {})
