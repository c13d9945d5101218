# SPDX-License-Identifier: Apache-2.0

"""No part of the project loads what could run code, or hands text to a shell: read from the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "bundle").rglob("*.py"))

# of the builtins
RUN_TEXT = {"eval", "exec", "compile", "__import__"}
# whatever they are called on
LOAD_CODE = {
    "pickle.load", "pickle.loads", "pickle.Unpickler", "dill.load", "joblib.load", "shelve.open", "marshal.load",
    "marshal.loads", "os.system", "os.popen", "runpy.run_path", "torch.hub.load", "yaml.load", "yaml.unsafe_load",
    "yaml.full_load", "pd.read_pickle", "pandas.read_pickle", "mlflow.pytorch.load_model",
}  # fmt: skip


def faults(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names]
            names = {f"{module}.{each.name}" for module in modules for each in node.names}
            if names & LOAD_CODE or names & {"torch.load", "numpy.load"}:
                yield f"line {node.lineno}: imports {names}, which hides its calls"
        if not isinstance(node, ast.Call):
            continue
        name, given = ast.unparse(node.func), {each.arg: ast.unparse(each.value) for each in node.keywords}
        if name in RUN_TEXT or name in LOAD_CODE:
            yield f"line {node.lineno}: {name}"
        if name == "torch.load" and given.get("weights_only") != "True":
            yield f"line {node.lineno}: torch.load without weights_only=True"
        if given.get("shell", "False") != "False" or given.get("allow_pickle", "False") != "False":
            yield f"line {node.lineno}: {name} with {given}"
        if None in given and name in ("torch.load", "np.load", "numpy.load", "subprocess.run", "subprocess.Popen"):
            yield f"line {node.lineno}: {name} with options that are not written out"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_that_is_loaded_can_run(path):
    assert list(faults(path.read_text(encoding="utf-8"))) == []


def test_all_of_the_bundle_is_looked_at():
    assert len(SOURCES) > 80
    assert sum("torch.load(" in path.read_text(encoding="utf-8") for path in SOURCES) >= 2


@pytest.mark.parametrize("source", [
    "torch.load(path)", "torch.load(path, weights_only=False)", "torch.load(path, weights_only=safe)",
    "torch.load(path, **options)", "pickle.load(file)", "from pickle import loads", "from torch import load",
    "eval(text)", "exec(text)", "np.load(path, allow_pickle=True)", "yaml.load(text)", "os.system(command)",
    "subprocess.run(command, shell=True)", "subprocess.run(command, shell=is_text)",
])
def test_what_could_run_is_found(source):
    assert list(faults(source))


@pytest.mark.parametrize("source", [
    "torch.load(path, map_location='cpu', weights_only=True)", "np.load(path)", "yaml.safe_load(text)", "model.eval()",
    "subprocess.run(['ls', folder])", "re.compile(text)", "np.load(path, allow_pickle=False)", "import pickle",
])
def test_what_cannot_run_passes(source):
    assert not list(faults(source))
