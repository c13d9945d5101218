# SPDX-License-Identifier: Apache-2.0

"""What the documents say is so: commands name real files and knobs, figures are those of the code."""

from __future__ import annotations

import ast
import contextlib
import doctest
import functools
import importlib
import io
import json
import pkgutil
import re
import shlex
import sys
from configparser import ConfigParser

import pytest
import torch

import scripts
from scripts.networks.qtseg import QTSeg
from workflows import BUNDLE, CONFIGS

ROOT = BUNDLE.parent
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in sorted([*ROOT.glob("*.md"), *BUNDLE.glob("docs/*.md"), *BUNDLE.glob("models/*.md")])
}
README, CARD, KNOBS = (PAGES[name] for name in ("README.md", "bundle/docs/README.md", "bundle/docs/knobs.md"))
TEXT = "\n".join(PAGES.values())
COMMANDS = [line for block in re.findall(r"^```bash\n(.*?)^```", TEXT, re.S | re.M) for line in block.splitlines()]
# what is named in passing, or stands in the lists of results
OTHER_COMMANDS = re.findall(r"`(python -m [^`\n]+)`", TEXT) + re.findall(r"^ {4}(python -m .*)$", TEXT, re.M)
SNIPPETS = re.findall(r"^```python\n(.*?)^```", TEXT, re.S | re.M)
OPTIONS = sorted(set(re.findall(r"`(--[a-z][^`]*)`", TEXT)) - {"--name value"})
MODULES = [m.name for m in pkgutil.walk_packages(scripts.__path__, "scripts.")]
# options of programs that are not the bundle's
_FOREIGN = {
    *("config_file", "bundle_root", "nproc_per_node", "help", "conf", "host", "no-deps"),
    *("studies", "app", "logdir", "backend-store-uri"),
}


def config_of(text: str) -> dict:
    """The config that ``--config_file`` names: one file, or a list."""
    files = ast.literal_eval(text) if text.startswith("[") else [text]
    config: dict = {}
    for file in files:
        config.update(json.loads((BUNDLE / file).read_text()))
    return config


def option_names(words: list[str]) -> list[str]:
    """``a`` of ``--a``, ``--a=1`` and ``--a#b``."""
    return [re.split("[=#]", word[2:])[0] for word in words if word.startswith("--")]


@functools.cache
def options_of(name: str) -> set[str]:
    """What a program's ``--help`` lists."""
    file = BUNDLE.joinpath(*name.split("."))
    module = importlib.import_module(f"{name}.__main__" if file.is_dir() else name)
    shown, hook = io.StringIO(), sys.excepthook
    try:
        with contextlib.redirect_stdout(shown), pytest.raises(SystemExit):
            module.main(["--help"])
    finally:
        sys.excepthook = hook  # put back what a program installs
    return set(re.findall(r"--([a-z_]+)", shown.getvalue()))


def every_knob() -> set[str]:
    """Names that some config of the bundle has."""
    files = [path for path in CONFIGS.rglob("*.json") if path.name != "metadata.json"]
    return {name.lstrip("+").split("#")[0] for path in files for name in json.loads(path.read_text())}


def test_the_readme_is_short():
    assert len(README.split()) <= 1000


def test_ci_runs_the_test_command_of_the_readme():
    (command,) = [line for line in COMMANDS if "-m pytest" in line]
    assert command in README and command in (ROOT / ".ci" / "run").read_text().splitlines()


def test_each_page_is_looked_at():
    assert len(PAGES) >= 15 and len(COMMANDS) >= 20 and len(OPTIONS) >= 50


@pytest.mark.parametrize("command", [c for c in COMMANDS + OTHER_COMMANDS if "monai.bundle run" in c])
def test_commands_name_real_configs_and_knobs(command):
    words = shlex.split(command.split("&&")[-1])
    config = config_of(dict(zip(words, words[1:]))["--config_file"])
    run_id = words[words.index("run") + 1]
    assert run_id in config, run_id
    for name in option_names(words):
        assert name in config or name in ("config_file", "nproc_per_node"), name


@pytest.mark.parametrize("command", [c for c in COMMANDS + OTHER_COMMANDS if "-m scripts." in c])
def test_commands_name_real_programs_and_options(command):
    words = shlex.split(command.split("&&")[-1])
    name = words[words.index("-m") + 1]
    known = options_of(name)
    if "config_file" in known:  # all knobs of a training can be set, too
        config = config_of(dict(zip(words, words[1:])).get("--config_file", "configs/train.json"))
        known = known | config.keys()
    for option in option_names(words):
        assert option in known, (name, option)
    for option, folder in (("--networks", "networks"), ("--recipes", "recipes")):
        after = words[words.index(option) + 1 :] if option in words else []
        for overlay in after[: next((i for i, word in enumerate(after) if word.startswith("--")), None)]:
            assert (CONFIGS / folder / f"{overlay}.json").is_file(), overlay


def test_options_named_in_passing_are_real():
    sources = {path.relative_to(BUNDLE): path.read_text() for path in (BUNDLE / "scripts").rglob("*.py")}
    programs = [path.parent if path.name == "__main__.py" else path for path in sources if "def main(" in sources[path]]
    known = every_knob().union(_FOREIGN, *(options_of(".".join(path.with_suffix("").parts)) for path in programs))
    assert [text for text in OPTIONS if not known.issuperset(option_names(shlex.split(text)))] == []


def test_commands_that_install_name_real_extras():
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = {extra for command in COMMANDS for extra in re.findall(r'-e "\.+\[(\w+)\]"', command)}
    assert extras and extras <= setup["options.extras_require"].keys()


def test_configs_named_in_passing_exist():
    named = set(re.findall(r"`(configs/[\w/]+\.json)`", TEXT))
    assert len(named) >= 10
    assert [name for name in named if not (BUNDLE / name).is_file()] == []


@pytest.mark.parametrize("code", SNIPPETS)
def test_snippets_compile(code):
    compile(code, "snippet", "exec")


def anchors(text: str) -> set[str]:
    """Of a page's headings, as GitHub makes them."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    headings = re.findall(r"^#+ (.*)$", prose, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_to_files_and_headings_that_are_there(name):
    prose = re.sub(r"^```.*?^```", "", PAGES[name], flags=re.S | re.M)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"https?://", link):
            continue
        file, _, anchor = link.partition("#")
        path = (ROOT / name).parent / file if file else ROOT / name
        assert path.exists(), link
        if anchor:
            assert anchor in anchors(path.read_text()), link


def test_each_page_is_linked_from_the_readme_or_another_page():
    linked = set()
    for name, text in PAGES.items():
        for link in re.findall(r"\]\(([^)#\s]+)[^)\s]*\)", text):
            linked.add(((ROOT / name).parent / link).resolve())
    alone = {"README.md", "bundle/models/README.md"}  # the first page, and one beside the model
    assert [name for name in PAGES if name not in alone and (ROOT / name).resolve() not in linked] == []


def test_pages_named_in_code_exist():
    """Messages and comments that send the reader to a page."""
    folders = [BUNDLE / name for name in ("configs", "label", "scripts")]
    files = [path for folder in folders for kind in ("*.py", "*.json", "*.html") for path in folder.rglob(kind)]
    named = {page for path in files for page in re.findall(r"\bdocs/[\w/]+\.(?:md|py|png|json)", path.read_text())}
    assert "docs/contests.md" in named
    assert [page for page in named if not (BUNDLE / page).is_file()] == []


def test_the_parameter_count_is_measured():
    count = f"{sum(p.numel() for p in QTSeg(3, 2).parameters()):,}"
    assert count in README and count in CARD


def test_paths_in_the_tree_exist():
    (tree,) = re.findall(r"^## The tree\n\n```\n(.*?)```", TEXT, re.S | re.M)
    for line in tree.splitlines():
        assert (ROOT / line.split()[0]).is_dir(), line


def test_the_changelog_has_the_versions_of_the_metadata():
    versions = re.findall(r"^## (\S+)", PAGES["CHANGELOG.md"], re.M)
    short = json.loads((CONFIGS / "metadata.json").read_text())["changelog"]
    assert versions == list(short) and all(len(line) <= 120 for line in short.values())


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # put back what an example installs
    module = importlib.import_module(name)
    for item in vars(module).values():
        if getattr(item, "__module__", None) != name or not getattr(item, "__doc__", None):
            continue
        for example in re.findall(r"Example::\n\n((?: {4,}.*\n|\n)+)", item.__doc__):
            if ">>>" in example:
                continue  # doctest's part
            lines = example.rstrip().splitlines()
            indent = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
            exec("\n".join(line[indent:] for line in lines), {**vars(module), "torch": torch})
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_public_names_are_listed_and_documented(name):
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", []):
        assert getattr(module, public).__doc__, f"{name}.{public}"
    if not hasattr(module, "__path__") and not name.endswith("__main__"):
        assert module.__all__, name
