# SPDX-License-Identifier: Apache-2.0

"""Start a MONAI Label server and ask it over HTTP."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import requests
from PIL import Image

from workflows import BUNDLE


@dataclass(frozen=True)
class Server:
    url: str
    studies: Path
    ckpt_dir: Path

    def info(self) -> dict[str, Any]:
        return requests.get(f"{self.url}/info/", timeout=20).json()

    def infer(self, image: str, output: str = "image", **params: Any) -> requests.Response:
        form = {"params": json.dumps(params)}
        return requests.post(f"{self.url}/infer/qtseg?image={image}&output={output}", data=form, timeout=60)

    def train(self, **knobs: Any) -> tuple[str, str]:
        """Status at the end, and the last lines that were told."""
        requests.post(f"{self.url}/train/qtseg", json=knobs, timeout=20).raise_for_status()
        begin = time.monotonic()
        while time.monotonic() - begin < 400:
            time.sleep(1)
            found = requests.get(f"{self.url}/train/", timeout=20).json()
            if found["status"] in ("DONE", "ERROR"):
                return found["status"], json.dumps(found["details"])
        raise AssertionError(found)

    def put_label(self, image: str, path: Path) -> None:
        with open(path, "rb") as file:
            sent = requests.put(
                f"{self.url}/datastore/label?image={image}&tag=final", files={"label": (path.name, file)}, timeout=20
            )
        assert sent.status_code == 200, sent.text

    def remove_label(self, image: str) -> None:
        requests.delete(f"{self.url}/datastore/label?id={image}&tag=final", timeout=20).raise_for_status()

    def next_image(self, strategy: str) -> str:
        return requests.post(f"{self.url}/activelearning/{strategy}", json={}, timeout=60).json()["id"]


@contextmanager
def serve(
    app: Path,
    studies: Path,
    ckpt_dir: Path,
    log: Path,
    *,
    conf: dict[str, Any],
    environment: dict[str, str] | None = None,
) -> Iterator[Server]:
    """A server that runs while the context does."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, "-m", "monailabel.main", "start_server", "--app", str(app), "--studies", str(studies)]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    command += [word for name, value in conf.items() for word in ("--conf", name, str(value))]
    variables = {**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})}
    with open(log, "w") as file:
        process = subprocess.Popen(command, cwd=log.parent, env=variables, stdout=file, stderr=subprocess.STDOUT)
        try:
            url = f"http://127.0.0.1:{port}"
            begin = time.monotonic()
            while True:
                assert process.poll() is None and time.monotonic() - begin < 300, log.read_text()
                try:
                    requests.get(f"{url}/info/", timeout=5)
                    break
                except requests.ConnectionError:
                    time.sleep(0.3)
            yield Server(url, studies, ckpt_dir)
        finally:
            process.terminate()
            process.wait(20)


def serve_bundle(folder: Path, images: Path, ckpt_dir: Path, **conf: Any) -> AbstractContextManager[Server]:
    """A server of the bundle's own app. All that it writes lies in a folder."""
    bundle = folder / "bundle"
    for part in ("configs", "scripts", "label"):
        shutil.copytree(BUNDLE / part, bundle / part, ignore=shutil.ignore_patterns("__pycache__"))
    studies = shutil.copytree(images, folder / "studies", symlinks=True)
    conf = {"ckpt_dir": ckpt_dir, "output_dir": folder / "eval", **conf}
    home = {"HOME": str(folder / "home")}
    return serve(bundle / "label", studies, ckpt_dir, folder / "log.txt", conf=conf, environment=home)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    total = int(a.sum() + b.sum())
    return 2 * int((a & b).sum()) / total if total else 1.0


def save_as_slicer(mask: np.ndarray, path: Path) -> None:
    """(H, W) as the volume of one slice that 3D Slicer makes of it."""
    nib.save(nib.Nifti1Image(mask.astype(np.uint8).T[..., None], np.diag([-1.0, -1, 1, 1])), path)


def mean_dice(server: Server, blobs: Path, names: list[str]) -> float:
    """Mean Dice of the server's masks."""
    values = []
    for name in names:
        mask = np.asarray(Image.open(io.BytesIO(server.infer(name).content)))
        values.append(dice(mask == 1, np.asarray(Image.open(blobs / "masks" / f"{name}.png")) > 127))
    return float(np.mean(values))


def put_labels(server: Server, blobs: Path, names: list[str], folder: Path) -> None:
    """Send true masks as final labels, in turn as 3D Slicer and as PNG."""
    for i, name in enumerate(names):
        label = np.asarray(Image.open(blobs / "masks" / f"{name}.png"))
        path = folder / (f"{name}.png" if i % 2 else f"{name}.nii.gz")
        if i % 2:
            Image.fromarray(label).save(path)
        else:
            save_as_slicer(label > 127, path)
        server.put_label(name, path)


def asap(corners: np.ndarray) -> str:
    """One polygon of (x, y) in pixels as the second class."""
    points = "".join(f'<Coordinate Order="{i}" X="{x}" Y="{y}"/>' for i, (x, y) in enumerate(corners))
    polygon = f'<Annotation Type="Polygon" PartOfGroup="class 2"><Coordinates>{points}</Coordinates></Annotation>'
    return f"<ASAP_Annotations><Annotations>{polygon}</Annotations></ASAP_Annotations>"
