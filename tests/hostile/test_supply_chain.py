# SPDX-License-Identifier: Apache-2.0

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
FILES = ("constraints.txt", "bundle/label/requirements.txt", "tests/label/requirements.txt")

# The first version without the advisories that were public on 2026-11-21, and what those are.
SAFE = {
    "aiohttp": ("3.14.4", "PYSEC-2026-4369, PYSEC-2026-4371: schemes taken from requests, requests smuggled"),
    "click": ("8.3.3", "CVE-2026-7246, which its authors dispute: commands run by click.edit"),
    "cryptography": ("50.0.0", "CVE-2026-39892: buffers overflown; CVE-2026-69247: an oracle in PKCS#7"),
    "filelock": ("4.2.1", "CVE-2026-112906, CVE-2026-112934, CVE-2026-112941: soft locks that other users replace"),
    "flask": ("3.1.3", "CVE-2026-27205: answers of a session kept in shared caches"),
    "flask-cors": ("6.0.0", "CVE-2024-6839, CVE-2024-6844, CVE-2024-6866: paths of other origins"),
    "fonttools": ("4.60.2", "CVE-2025-66034: files written by varLib"),
    "fsspec": ("2026.6.0", "CVE-2026-104851: code run by templates in references"),
    "gitpython": ("3.2.1", "CVE-2026-78676, CVE-2026-110858: commands run by configs and refspecs; submodules"),
    "graphql-core": ("3.2.12", "CVE-2026-75508: comments that exhaust memory"),
    "gunicorn": ("23.0.0", "CVE-2024-6827: requests smuggled by Transfer-Encoding"),
    "h11": ("0.16.0", "CVE-2025-43859: requests smuggled by chunks"),
    "idna": ("3.15", "CVE-2026-45409: long names that take quadratic time"),
    "jinja2": ("3.1.6", "CVE-2025-27516: code run by templates"),
    "mako": ("1.4.2", "CVE-2026-41205, CVE-2026-44307, CVE-2026-102991: templates outside their folder"),
    "markdown": ("3.8.1", "CVE-2025-69534: texts that stop the parser"),
    "mlflow": ("3.17.0", "CVE-2026-2614: files read; CVE-2026-96804, CVE-2026-116692: models, scorers that run code"),
    "monai": ("1.6.1", "CVE-2026-48705: DICOM without finite numbers; CVE-2026-109360, CVE-2026-109361: code run"),
    "monailabel": ("0.8.8", "files read, written and removed by ids and tags that are paths; code run"),
    "onnx": ("1.22.0", "CVE-2026-27489, CVE-2026-34446: files outside the model; CVE-2026-44512: crashes"),
    "pillow": ("13.0.0", "CVE-2026-112393, CVE-2026-112398, CVE-2026-112403: TIFF, FPX, JPEG past a buffer"),
    "protobuf": ("6.33.5", "CVE-2025-4565, CVE-2026-0994: unbounded recursion"),
    "pyasn1": ("0.6.4", "CVE-2026-23490, CVE-2026-30922, CVE-2026-59886: values that exhaust memory and time"),
    "pydantic-settings": ("2.14.2", "GHSA-4xgf-cpjx-pc3j: secrets read through links"),
    "pydicom": ("3.0.2", "CVE-2026-32711: files outside the folder of a DICOMDIR"),
    "pygments": ("2.20.0", "CVE-2026-4539: a lexer that takes long"),
    "pyjwt": ("2.15.0", "CVE-2026-48523, CVE-2026-101918, CVE-2026-102267: tokens and keys that should be refused"),
    "pytest": ("9.0.3", "CVE-2025-71176: temporary folders whose names can be foreseen"),
    "python-dotenv": ("1.2.2", "CVE-2026-28684: files overwritten through links"),
    "python-multipart": ("0.0.31", "CVE-2026-24486: files written; CVE-2026-53539, CVE-2026-53540: endless forms"),
    "requests": ("2.33.0", "CVE-2024-47081: credentials of .netrc sent to others; CVE-2026-25645: temporary files"),
    "scikit-learn": ("1.5.0", "CVE-2024-5206: words of the training data kept"),
    "skops": ("0.13.0", "CVE-2025-54412, CVE-2025-54413, CVE-2025-54886: models that run code"),
    "sqlparse": ("0.6.0", "CVE-2026-54284, CVE-2026-59893, CVE-2026-71491: statements that take quadratic time"),
    "starlette": ("1.3.1", "CVE-2026-48710, PYSEC-2026-248: hosts that pass as paths; PYSEC-2026-249: endless forms"),
    "torch": ("2.13.0", "CVE-2025-3000: jit.script; CVE-2026-4538, CVE-2026-24747: files that run code when loaded"),
    "tqdm": ("4.66.3", "CVE-2024-34062: code run by arguments of its command"),
    "urllib3": ("2.8.0", "CVE-2026-44431: headers sent to others; CVE-2026-97687, CVE-2026-97689: proxies, chunks"),
    "werkzeug": ("3.1.6", "CVE-2025-66221, CVE-2026-21860, CVE-2026-27199: names of devices on Windows"),
}

# The first version of an older line that has the same repairs.
BACKPORTED = {"pydicom": ("2.4.5", "pydicom's pull request 2314; MONAI Label's environment asks for pydicom below 3")}

# What is pinned in spite of an advisory, as no version that can be installed is without it, and why that is bearable.
ACCEPTED = {
    "diskcache==5.6.3": ("CVE-2025-69872", "runs code of who can write its cache, which girder-client alone keeps"),
    "monailabel==0.8.5": (
        "paths and settings of clients, which 0.8.6 to 0.8.8 mend in part, and PyPI has none of these",
        "its routes are replaced by the app's own, behind a guard without which no server starts: tests/label",
    ),
    "pynetdicom==2.1.1": ("CVE-2026-56445", "of its server qrscp, which is never started here; all versions have it"),
}


def is_safe(name: str, version: Version, *, backported: bool = True) -> bool:
    if f"{name}=={version}" in ACCEPTED or version >= Version(SAFE[name][0]):
        return True
    older = Version(BACKPORTED[name][0]) if backported and name in BACKPORTED else None
    return older is not None and version.major == older.major and version >= older


def pins(path: str) -> dict[str, Version]:
    """Versions by package; a line that pins none fails."""
    found: dict[str, Version] = {}
    for line in (ROOT / path).read_text().splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            (specifier,) = requirement.specifier
            assert specifier.operator == "==", line
            found[canonicalize_name(requirement.name)] = Version(specifier.version)
    return found


def declared() -> list[Requirement]:
    """What setup.cfg asks for, extras too."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    texts = [config["options"]["install_requires"], *config["options.extras_require"].values()]
    lines = (line for text in texts for line in text.splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("file", FILES)
def test_pins_have_no_known_advisory(file):
    found = pins(file)
    for name in found.keys() & SAFE.keys():
        assert is_safe(name, found[name]), (name, SAFE[name])


def test_what_is_named_here_is_what_is_pinned():
    pinned = {pin for file in FILES for pin in pins(file).items()}
    assert SAFE.keys() | BACKPORTED.keys() <= {name for name, _ in pinned}
    assert ACCEPTED.keys() <= {f"{name}=={version}" for name, version in pinned}  # or the line here is to go


def test_no_older_version_is_asked_for():
    for requirement in declared():
        name = canonicalize_name(requirement.name)
        if name in SAFE:
            (specifier,) = requirement.specifier
            assert specifier.operator == ">="
            assert is_safe(name, Version(specifier.version), backported=False), (requirement, SAFE[name])


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
    files = [*ROOT.glob("*.md"), *BUNDLE.rglob("*.py"), *BUNDLE.rglob("*.md"), *BUNDLE.rglob("*.json")]
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
