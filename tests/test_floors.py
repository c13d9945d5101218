# SPDX-License-Identifier: Apache-2.0

"""The house keeps its order: rooms import downward only, without circles, stay small, and have their tests."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from workflows import BUNDLE

#: From the top floor down. A room imports from its own modules and from the floors below.
FLOORS = (
    ("contest",),
    ("report", "cross_validation", "benchmark", "comparison", "cleaning_search", "label"),
    ("training", "tracking", "evaluation", "inference", "export"),
    ("checkpoints", "experiments"),
    ("data",),
    ("networks", "transforms", "image_io"),
    ("common",),
)
FLOOR = {room: len(FLOORS) - number for number, floor in enumerate(FLOORS) for room in floor}
MOST_MODULES = 16
MOST_LINES = 300


def modules_of(bundle: Path) -> dict[str, Path]:
    """Dotted names, and files, of all modules: those of ``scripts`` without ``scripts.``, and the label app's."""
    files = {path.relative_to(bundle / "scripts"): path for path in (bundle / "scripts").rglob("*.py")}
    files |= {path.relative_to(bundle): path for path in (bundle / "label").rglob("*.py")}
    return {".".join(name.with_suffix("").parts).removesuffix(".__init__"): path for name, path in files.items()}


def imports_of(name: str, path: Path, modules: dict[str, Path]) -> Iterator[str]:
    """The bundle's modules that a module imports, also inside functions."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            froms = [(alias.name.removeprefix("scripts."), "") for alias in node.names if "scripts" in alias.name]
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = ".".join(package[: len(package) - node.level + 1])
            froms = [(f"{base}.{node.module or ''}".strip("."), alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "scripts":
            froms = [((node.module or "")[len("scripts.") :], alias.name) for alias in node.names]
        else:
            continue
        for module, imported in froms:
            deeper = f"{module}.{imported}".strip(".")
            yield deeper if deeper in modules else module


def faults_of(bundle: Path) -> list[str]:
    """Imports that go upward or to a neighbor, and the first circle."""
    modules = modules_of(bundle)
    graph = {name: {*imports_of(name, path, modules)} - {name} for name, path in modules.items() if name != "__init__"}
    faults = []
    for name, imported in graph.items():
        room = name.split(".")[0]
        for module in sorted(imported):
            other = module.split(".")[0]
            if room != other and FLOOR[other] >= FLOOR[room]:
                faults.append(f"{name} imports {module}, and {other} is not below {room}")
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        faults.append(f"circle: {' -> '.join(error.args[1])}")
    return faults


def where_tested(module: Path) -> Path:
    """The test module of a module, both relative to their roots; that of a room's command has the room's name."""
    name = module.parent.name if module.name == "__main__.py" else module.stem
    return module.parent / f"test_{name}.py"


def untested(scripts: Path, tests: Path) -> list[str]:
    """Modules of ``scripts`` without a test module."""
    modules = [path.relative_to(scripts) for path in sorted(scripts.rglob("*.py")) if path.name != "__init__.py"]
    missing = [module for module in modules if not (tests / where_tested(module)).is_file()]
    return [f"{module} has no tests/{where_tested(module)}" for module in missing]


@pytest.fixture
def copied(tmp_path):
    for folder in ("scripts", "label"):
        shutil.copytree(BUNDLE / folder, tmp_path / folder)
    return tmp_path


def test_imports_go_down_and_never_in_a_circle():
    assert faults_of(BUNDLE) == []


@pytest.mark.parametrize(
    "planted",
    [
        "from ..training.resume import find_unfinished\n",
        "from .. import training\n",
        "import scripts.training.resume\n",
        "def late():\n    from scripts.training.resume import find_unfinished\n",
    ],
)
def test_an_upward_import_is_found(copied, planted):
    with open(copied / "scripts" / "data" / "survey.py", "a") as file:
        file.write(planted)
    (fault,) = [fault for fault in faults_of(copied) if "circle" not in fault]
    assert fault.startswith("data.survey imports training")


def test_an_import_of_a_neighbor_is_found(copied):
    (copied / "scripts" / "evaluation" / "planted.py").write_text("from ..training import losses\n")
    assert faults_of(copied) == ["evaluation.planted imports training.losses, and training is not below evaluation"]


@pytest.mark.parametrize("form", ["from ..readers import ImageFileReader\n", "def f():\n    from .. import readers\n"])
def test_a_circle_is_found(copied, form):
    with open(copied / "scripts" / "image_io" / "formats" / "pixels.py", "a") as file:
        file.write(form)
    (fault,) = faults_of(copied)
    assert fault.startswith("circle:") and "image_io.readers" in fault and "image_io.formats.pixels" in fault


def test_rooms_and_modules_stay_small():
    for folder in {path.parent for path in modules_of(BUNDLE).values()}:
        assert len([path for path in folder.glob("*.py") if path.name != "__init__.py"]) <= MOST_MODULES, folder
    for path in modules_of(BUNDLE).values():
        assert len(path.read_text().splitlines()) <= MOST_LINES, path


def test_every_room_says_in_three_sentences_what_it_is_for_what_it_imports_and_what_goes_there():
    for path in (BUNDLE / "scripts").glob("*/**/__init__.py"):
        text = " ".join((ast.get_docstring(ast.parse(path.read_text())) or "").split())
        sentences = text.replace(": ", ". ").split(". ")
        assert len(sentences) >= 3, path
        assert re.search(r"[Ii]mports?\b", text), path


def test_every_module_has_its_test_module():
    assert untested(BUNDLE / "scripts", Path(__file__).parent) == []


def test_missing_test_modules_are_found(tmp_path):
    for name in ("scripts/room/__init__", "scripts/room/__main__", "scripts/room/inner/a", "scripts/b", "scripts/c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{name}.py").touch()
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_c.py").touch()
    assert untested(tmp_path / "scripts", tmp_path / "tests") == [
        "b.py has no tests/test_b.py",
        "room/__main__.py has no tests/room/test_room.py",
        "room/inner/a.py has no tests/room/inner/test_a.py",
    ]
