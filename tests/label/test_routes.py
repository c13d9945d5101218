# SPDX-License-Identifier: Apache-2.0

"""What clients may do over HTTP, and what they may not. Runs where MONAI Label is installed."""

from __future__ import annotations

import http.client
import io
import json
import shutil
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import requests
from PIL import Image

from servers import Server

pytest.importorskip("monailabel")

FOREIGN = {"Host": "evil.example", "Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}
CROSS_SITE = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site", "Content-Type": "text/plain"}
OFF = ("session", "proxy", "reload", "batch", "model", "ohif", "static")


@pytest.fixture(scope="module")
def server(own_classes, blobs) -> Server:
    """A server with a small model, beside a file that must stay as it is."""
    (own_classes.folder / "precious.png").write_bytes(next((blobs / "images").iterdir()).read_bytes())
    return own_classes.server


@pytest.fixture
def images(own_classes) -> list[str]:
    return own_classes.names


def tree(server: Server) -> dict[Path, int]:
    """All files beside the folder of images, and when they were written; the log is written all the time."""
    files = (path for path in server.studies.parent.rglob("*") if path.is_file() and server.studies not in path.parents)
    written = {path: path.stat().st_mtime_ns for path in files}
    return {path: ns for path, ns in written.items() if path.suffix not in (".log", ".txt", ".pyc")}


@pytest.fixture(autouse=True)
def nothing_is_written_elsewhere(server) -> Iterator[None]:
    before = tree(server)
    yield
    assert tree(server) == before


def ask(server: Server, method: str, path: str, **kwargs: Any) -> requests.Response:
    return requests.request(method, f"{server.url}{path}", timeout=60, **kwargs)


def refused(answer: requests.Response, *statuses: int) -> str:
    assert answer.status_code in statuses, (answer.status_code, answer.text[:500])
    return str(answer.json()["detail"])


def test_every_route_is_guarded(server):
    trainings = len(ask(server, "GET", "/train/?all=true").json())
    paths = ask(server, "GET", "/openapi.json").json()["paths"]
    routes = [(method, path) for path, methods in paths.items() for method in methods]
    routes += [("post", f"/{name}") for name in OFF] + [("get", "/docs"), ("get", "/"), ("get", "/openapi.json")]
    assert len(routes) > 40
    for method, path in routes:
        for headers in (FOREIGN, CROSS_SITE):
            answer = ask(server, method, path.format(model="qtseg", strategy="first", method="dice"), headers=headers)
            assert answer.status_code == 403, (method, path)
            assert not any(name.lower().startswith("access-control") for name in answer.headers)
    assert len(ask(server, "GET", "/train/?all=true").json()) == trainings


def test_what_is_off_says_so(server):
    for name in OFF:
        for method, rest in (("GET", "/x"), ("PUT", "/"), ("POST", ""), ("DELETE", "/x/y")):
            assert f"/{name} is switched off" in refused(ask(server, method, f"/{name}{rest}"), 404)
    for path in ("/ohif/..%2f..%2fetc%2fpasswd", "/session/..%2f..", "/static/..%2f..%2fapp.py"):
        assert "is switched off" in refused(ask(server, "GET", path), 404)
    assert not (server.studies.parent / "home" / ".cache" / "monailabel").exists()


@pytest.mark.parametrize("name", ["../precious", "/etc/hosts", "{folder}/precious", "..\\precious", "a\0", "..", "."])
def test_ids_are_no_paths(name, server, images):
    """An id in a query, in a form and in JSON; also encoded twice."""
    path = name.format(folder=server.studies.parent)
    png = (server.studies.parent / "precious.png").read_bytes()
    for id_ in (quote(path, safe=""), quote(quote(path, safe=""), safe="")):
        for method, route in (
            ("GET", f"/datastore/image?image={id_}"), ("HEAD", f"/datastore/image?image={id_}"),
            ("DELETE", f"/datastore/image?id={id_}"), ("DELETE", f"/datastore/?id={id_}"),
            ("GET", f"/datastore/label?label={id_}&tag=final"), ("DELETE", f"/datastore/label?id={id_}&tag=final"),
            ("PUT", f"/datastore/image/info?image={id_}"), ("PUT", f"/datastore/label/info?label={id_}&tag=final"),
            ("PUT", f"/datastore/updatelabelinfo?label={id_}&tag=final"),
            ("POST", f"/infer/qtseg?image={id_}"), ("POST", f"/infer/wsi/qtseg?image={id_}"),
            ("POST", f"/infer/wsi_v2/qtseg?image={id_}"),
        ):  # fmt: skip
            assert ask(server, method, route).status_code in (404, 422), (method, route)
    once = quote(path, safe="")
    for route, part in ((f"/datastore/image?image={once}", "file"), (f"/datastore/label?image={once}", "label")):
        answer = ask(server, "PUT", route, files={part: ("x.png", png)})
        assert "send the name of a file, without folders" in refused(answer, 422)
    form = {"params": json.dumps({"image": path})}
    answer = ask(server, "POST", f"/infer/qtseg?image={images[0]}&output=json", data=form)
    assert answer.status_code == 200  # of the image in the query


@pytest.mark.parametrize("tag", ["/tmp", "../..", "version_1", "final/..", "FINAL", "%2e%2e"])
def test_tags_are_two(tag, server, images, tmp_path):
    Image.open(next(server.studies.glob(f"{images[0]}.*"))).convert("L").point(lambda _: 0).save(tmp_path / "a.png")
    for method, route in (
        ("PUT", f"image={images[0]}"), ("GET", f"label={images[0]}"), ("HEAD", f"image={images[0]}"),
        ("DELETE", f"id={images[0]}"),
    ):  # fmt: skip
        files = {"label": ("a.png", (tmp_path / "a.png").read_bytes())} if method == "PUT" else None
        answer = ask(server, method, f"/datastore/label?{route}&tag={quote(tag, safe='')}", files=files)
        assert answer.status_code == 422


@pytest.mark.parametrize("name", ["x.py", "x.json", "x.pt", "x.png.sh", "x", "..", "../../x.py", "x.png\0.py"])
def test_files_have_the_suffix_of_an_image_or_label(name, server, images):
    for route, part in (("image?image=new", "file"), (f"label?image={images[0]}", "label")):
        answer = ask(server, "PUT", f"/datastore/{route}", files={part: (name, b"1")})
        assert answer.status_code == 422
    assert ask(server, "POST", "/infer/qtseg?output=json", files={"file": (name, b"1")}).status_code == 422


def test_bodies_are_bounded(server, images):
    host = server.url.removeprefix("http://")

    def told(path: str, length: int, *, chunked: bool) -> int:
        connection = http.client.HTTPConnection(host, timeout=60)
        connection.putrequest("PUT" if "datastore" in path else "POST", path)
        form = "datastore" in path
        connection.putheader("Content-Type", "multipart/form-data; boundary=b" if form else "application/json")
        connection.putheader(*(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(length))))
        connection.endheaders()
        if chunked:
            for _ in range(length // 2**18):
                connection.send(b"40000\r\n" + b"[" * 2**18 + b"\r\n")
        status = connection.getresponse().status
        connection.close()
        return status

    assert told("/datastore/image?image=new", 2**31, chunked=False) == 413
    assert told(f"/datastore/label?image={quote(images[0])}", 300 * 2**20, chunked=False) == 413
    assert told("/train/qtseg", 2**21, chunked=False) == 413
    assert told("/activelearning/first", 2**21, chunked=True) == 413
    assert refused(ask(server, "PUT", f"/datastore/image/info?image={images[0]}", data={"info": "x" * 10**6}), 422)


def test_a_large_label_of_a_small_image_is_not_stored(server, images):
    answer = ask(server, "PUT", f"/datastore/label?image={images[0]}", files={"label": ("x.png", bytes(2**24))})
    assert "has 16777216 bytes; a label of" in refused(answer, 422)
    assert not list((server.studies / "labels").rglob(f"{images[0]}*"))


def test_links_are_not_sent_if_they_lead_to_other_files(server, images):
    (server.studies / "passwords.png").symlink_to("/etc/passwd")
    (server.studies / "labels" / "final" / f"{images[0]}.png").symlink_to("/etc/passwd")
    time.sleep(2)  # the datastore looks at its folder
    try:
        assert "is not a PNG, JPEG" in refused(ask(server, "GET", "/datastore/image?image=passwords"), 422)
        assert refused(ask(server, "POST", "/infer/qtseg?image=passwords"), 422)
        assert refused(ask(server, "GET", f"/datastore/label?label={images[0]}&tag=final"), 404)
    finally:
        for path in (server.studies / "passwords.png", server.studies / "labels" / "final" / f"{images[0]}.png"):
            path.unlink()
        time.sleep(2)


def test_values_of_clients_do_not_reach_trainings_and_one_runs_at_a_time(server):
    sent = {"bundle_path": "/tmp", "gpus": "$0", "model": "../x", "max_epochs": 1, "weights": "/x", "client_id": "me"}
    task = ask(server, "POST", "/train/qtseg?run_sync=true&enqueue=true", json=sent).json()
    assert {**task["request"], "gpus": "all"} == {"model": "qtseg", "max_epochs": 1, "gpus": "all"}  # MONAI Label's own
    for path in ("/train/qtseg", "/train/qtseg?enqueue=true", "/train/"):
        told = refused(ask(server, "POST", path, json={}), 409)
        assert told == "a train task is running; wait until it ends, or stop it by DELETE /train/"
    begin = time.monotonic()
    while ask(server, "DELETE", "/train/").json() is None and time.monotonic() - begin < 20:
        time.sleep(0.1)
    assert ask(server, "GET", "/train/").json()["status"] == "STOPPED"
    assert "there is no 'x' among the trainers; use one of qtseg" in refused(ask(server, "POST", "/train/x"), 404)


@pytest.mark.parametrize("body", [b"[1]", b"{", b'"$1"', b"[" * 100_000, b"\xff\xfe"])
def test_nonsense_is_refused_without_a_traceback(body, server, images):
    json_type = {"Content-Type": "application/json"}
    for path in ("/train/qtseg", "/activelearning/first", f"/infer/wsi/qtseg?image={images[0]}"):
        assert ask(server, "POST", path, data=body, headers=json_type).status_code in (400, 422)
    form = {"params": body.decode("latin-1")}
    assert refused(ask(server, "POST", f"/infer/qtseg?image={images[0]}", data=form), 422)
    for path in ("/infer/none?image=x", f"/infer/none?image={images[0]}", "/scoring/none", "/activelearning/none"):
        assert refused(ask(server, "POST", path), 404)
    log = (server.studies.parent / "log.txt").read_text()
    assert "Traceback" not in log, log[log.index("Traceback") :][:3000]


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_3d_slicer_and_cvat_work_as_before(server, images, blobs, tmp_path):
    """By MONAI Label's own client, which both use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its imports
        from monailabel.client import MONAILabelClient
    client = MONAILabelClient(server.url, tmpdir=str(tmp_path), client_id="user")
    assert client.auth_enabled() is False and set(client.info()["models"]) == {"qtseg"}
    image = next(server.studies.glob(f"{images[0]}.*"))
    chosen = client.next_sample("first", {})
    assert chosen["id"] == images[0] and chosen["path"] == str(image.resolve())
    assert chosen["strategy"]["first"]["client_id"] == "user"
    mask, answer = client.infer("qtseg", images[0], {"result_extension": ".nii.gz", "device": "cpu"})
    assert mask.endswith(".nii.gz") and answer["label_names"] == {"class 1": 1, "class 2": 2}
    facts = {"label_info": [{"name": "class 1", "idx": 1}]}
    assert client.save_label(images[0], mask, params=facts)["label"] == images[0]
    assert client.datastore()["objects"][images[0]]["labels"]["final"]["info"]["label_info"] == facts["label_info"]
    assert Path(client.download_label(images[0], "final")).read_bytes() == Path(mask).read_bytes()
    reviewed = {"params": '{"status": "approved"}'}
    ask(server, "PUT", f"/datastore/updatelabelinfo?label={images[0]}&tag=final", data=reviewed)
    assert ask(server, "GET", f"/datastore/label/info?label={images[0]}&tag=final").json()["status"] == "approved"
    assert ask(server, "DELETE", f"/datastore/label?id={images[0]}&tag=final").status_code == 200
    drawn = shutil.copy(image, tmp_path / f"sent{image.suffix}")
    _, answer = client.infer("qtseg", "", {"output": "json"}, file=str(drawn))  # of CVAT
    assert json.loads(answer)["annotations"][0]["annotation"]["size"] == list(Image.open(image).size)
    assert client.upload_image(str(drawn), "new image")["image"] == "new image"
    assert (server.studies / f"new image{image.suffix}").read_bytes() == image.read_bytes()
    assert ask(server, "DELETE", "/datastore/image?id=new%20image").status_code == 200


def test_qupath_works_as_before(server, images, tmp_path):
    """It sends JSON without its type, and reads polygons."""
    body = {"level": 0, "location": [0, 0], "size": [64, 64], "tile_size": [1024, 1024], "min_poly_area": 30}
    body["params"] = {"foreground": [], "max_workers": 1}
    answer = ask(server, "POST", f"/infer/wsi/qtseg?output=asap&image={images[0]}", data=json.dumps(body).encode())
    assert answer.status_code == 200 and b"<ASAP_Annotations>" in answer.content
    image = next(server.studies.glob(f"{images[0]}.*"))
    sent = {"file": (str(image), image.read_bytes())}
    again = ask(server, "POST", "/infer/wsi_v2/qtseg?output=asap", files=sent, data={"wsi": json.dumps(body)})
    assert again.status_code == 200 and again.content.count(b"<Coordinate ") == answer.content.count(b"<Coordinate ")
    assert ask(server, "HEAD", f"/datastore/image?image={images[0]}").status_code == 200
    assert ask(server, "HEAD", "/datastore/image?image=none").status_code == 404
    label = {"label": ("a.xml", answer.content)}
    saved = ask(server, "PUT", f"/datastore/label?image={images[0]}&tag=original", files=label, data={"params": "{}"})
    assert saved.status_code == 200, saved.text
    ask(server, "DELETE", f"/datastore/label?id={images[0]}&tag=original")
    shape = np.asarray(Image.open(io.BytesIO(ask(server, "GET", f"/datastore/image?image={images[0]}").content))).shape
    assert shape == np.asarray(Image.open(image)).shape
