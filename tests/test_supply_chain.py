# Copyright (c) QTSeg bundle contributors
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""The packages that are installed are pinned, none with a known advisory; servers are started for this machine only."""

from __future__ import annotations

import configparser
import re
from importlib.metadata import distribution

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from workflows import BUNDLE

ROOT = BUNDLE.parent

# The first version without the advisories that were public when the pins were last renewed, and what those are.
SAFE = {
    "aiohttp": ("3.12.14", "CVE-2025-53643: requests smuggled by chunked trailers"),
    "cryptography": ("44.0.1", "CVE-2024-12797: OpenSSL, raw public keys"),
    "flask": ("3.1.1", "CVE-2025-47278: order of signing keys"),
    "flask-cors": ("6.0.0", "CVE-2024-6839, CVE-2024-6844, CVE-2024-6866: paths of other origins"),
    "fonttools": ("4.60.2", "CVE-2025-66034: files written by varLib"),
    "gunicorn": ("23.0.0", "CVE-2024-6827: requests smuggled by Transfer-Encoding"),
    "h11": ("0.16.0", "CVE-2025-43859: requests smuggled by chunks"),
    "jinja2": ("3.1.6", "CVE-2025-27516: code run by templates"),
    "monai": ("1.6.1", "archives that write outside their folder, checkpoints and pickles that run code"),
    "onnx": ("1.17.0", "CVE-2024-5187, CVE-2024-7776: archives that write outside their folder"),
    "pillow": ("11.3.0", "CVE-2025-48379: DDS images written past a buffer"),
    "protobuf": ("6.31.1", "CVE-2025-4565: unbounded recursion"),
    "requests": ("2.32.4", "CVE-2024-47081: credentials of .netrc sent to others"),
    "skops": ("0.13.0", "CVE-2025-54412, CVE-2025-54413, CVE-2025-54886: models that run code"),
    "starlette": ("0.49.1", "CVE-2025-62727: ranges of files that take quadratic time"),
    "torch": ("2.10.0", "CVE-2025-32434 and others: checkpoints that run code in spite of weights_only"),
    "urllib3": ("2.6.0", "CVE-2025-66418, CVE-2025-66471: compressed answers that exhaust memory"),
    "werkzeug": ("3.0.6", "CVE-2024-49767: forms that exhaust memory"),
}


def pins(path: str) -> dict[str, list[Version]]:
    """Versions by package, one for each range of Pythons; a line that pins none fails."""
    found: dict[str, list[Version]] = {}
    for line in (ROOT / path).read_text().splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            (specifier,) = requirement.specifier
            assert specifier.operator == "==", line
            found.setdefault(canonicalize_name(requirement.name), []).append(Version(specifier.version))
    return found


def declared() -> list[Requirement]:
    """What setup.cfg asks for, extras too."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    texts = [config["options"]["install_requires"], *config["options.extras_require"].values()]
    lines = (line for text in texts for line in text.splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("file", ["constraints.txt", "bundle/label/requirements.txt", "tests/label/requirements.txt"])
def test_pins_have_no_known_advisory(file):
    found = pins(file)
    for name in found.keys() & SAFE.keys():
        assert min(found[name]) >= Version(SAFE[name][0]), SAFE[name]
    assert file != "constraints.txt" or SAFE.keys() <= found.keys()  # what is named here is what is installed


def test_no_older_version_is_asked_for():
    for requirement in declared():
        name = canonicalize_name(requirement.name)
        if name in SAFE:
            (specifier,) = requirement.specifier
            assert specifier.operator == ">=" and Version(specifier.version) >= Version(SAFE[name][0]), requirement


def test_all_that_is_installed_for_the_bundle_is_pinned():
    pinned = pins("constraints.txt")
    waiting, seen = declared(), set()
    while waiting:
        requirement = waiting.pop()
        extras = requirement.extras or {""}
        if requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            continue
        name = canonicalize_name(requirement.name)
        if name in seen or name == "setuptools":  # which pip brings
            continue
        seen.add(name)
        assert name in pinned, f"{name} is in no line of constraints.txt"
        needed = (Requirement(line) for line in distribution(name).requires or [])
        wanted = [each for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})]
        waiting += wanted
    assert {"torch", "monai", "mlflow", "sqlalchemy"} <= seen
    assert "ignite" not in seen | pinned.keys()  # another project; its module would lie over pytorch-ignite's


def test_servers_are_started_for_this_machine_only():
    files = [ROOT / "README.md", *BUNDLE.rglob("*.py"), *BUNDLE.rglob("*.md"), *BUNDLE.rglob("*.json")]
    texts = {path: path.read_text() for path in files if "egg-info" not in str(path)}
    started = [
        (path.name, line)
        for path, text in texts.items()
        for line in text.splitlines()
        if re.search(r"\bmlflow (ui|server) |start_server|--conf models", line)
    ]
    assert len(started) >= 4
    assert [each for each in started if "--host 127.0.0.1" not in each[1]] == []
    assert not any(word in text for text in texts.values() for word in ("0.0.0.0", "--bind_all", "verify=False"))
