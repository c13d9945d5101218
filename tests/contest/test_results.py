# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from scripts.common.errors import InputError
from scripts.common.files import read_json, write_csv, write_json
from scripts.common.score_table import shown_in
from scripts.contest.contestants import Contestant
from scripts.contest.results import read_results, results_path, save_results
from scripts.contest.table import write_contest
from workflows import BUNDLE

KEPT = shown_in("contest")
OURS, THEIRS = Contestant("paper", "a"), Contestant("paper", "b")
CLAIM = {"format": 1, "learning_rate": 0.5, "sections": {}}


def evaluation(folder: Path, groups: dict[str, str], columns: tuple[str, ...] = KEPT, value: str = "") -> Path:
    """Scores of images in ``/data``: 0.5 and thousandths more for each column and image; or all of one value."""
    rows = [
        [f"/data/{name}", group, *(value or f"{0.5 + i / 10 + j / 1000:.6f}" for j in range(len(columns)))]
        for i, (name, group) in enumerate(groups.items())
    ]
    write_csv(folder / "scores.csv", ["image", "group", *columns], rows)
    write_json(folder / "summary.json", {"images": "/data"})
    return folder


def save(folder: Path, contestant: Contestant, seed: int, evaluated: Path, claim: dict) -> Path:
    path = results_path(folder, contestant, seed)
    save_results(path, evaluated, claim=claim, machine="here", hours=1.5)
    return path


def test_scores_lie_by_recipe_network_and_seed(tmp_path):
    assert results_path(tmp_path, Contestant("one_cycle", "unet"), 2) == tmp_path / "results/one_cycle.unet.seed_2.csv"


def test_what_is_saved_is_read_again(tmp_path):
    groups = {"images/1.png": "p1", "images/2.png": "p1", "3.png": "3.png"}
    columns = ("asd", *reversed(KEPT))  # in another order, with one that a contest does not keep
    path = save(tmp_path, OURS, 0, evaluation(tmp_path / "evaluation", groups, columns), CLAIM)
    assert read_json(path.with_suffix(".json")) == {"machine": "here", "hours": 1.5, "training": CLAIM}
    header, first, _, last = path.read_text().splitlines()
    assert header == ",".join(["image", "group", *KEPT])
    values = [f"{0.5 + j / 1000:.6f}" for j in range(len(KEPT), 0, -1)]
    assert first == ",".join(["images/1.png", "p1", *values]) and last.startswith("3.png,,0.70")
    results = read_results(tmp_path, {OURS: CLAIM, THEIRS: CLAIM}, [0, 1])
    assert list(results) == [OURS] and list(results[OURS]) == [0]  # the others are not yet trained
    table = results[OURS][0]
    assert [row["group"] for row in table.values()] == ["p1", "p1", "3.png"]
    assert table["images/2.png"] == {
        "group": "p1",
        **{name: pytest.approx(0.6 + (len(KEPT) - i) / 1000) for i, name in enumerate(KEPT)},
    }


def test_a_score_that_is_missing_or_no_number_is_named(tmp_path):
    without = evaluation(tmp_path / "without", {"1.png": "1"}, KEPT[:-1])
    with pytest.raises(InputError, match=f"without {KEPT[-1]}; give another --output_dir"):
        save(tmp_path, OURS, 0, without, CLAIM)
    assert not results_path(tmp_path, OURS, 0).exists()
    wrong = evaluation(tmp_path / "wrong", {"1.png": "1"}, value="high")
    with pytest.raises(InputError, match=f"line 2 has 'high' as {KEPT[0]} of /data/1.png, which is no number"):
        save(tmp_path, OURS, 0, wrong, CLAIM)
    path = save(tmp_path, OURS, 0, evaluation(tmp_path / "evaluation", {"1.png": "1"}), CLAIM)
    path.write_text(path.read_text().replace(f",{KEPT[0]},", ",other,"))
    with pytest.raises(InputError, match=f"{path} is of another version, without {KEPT[0]}; give another"):
        read_results(tmp_path, {OURS: CLAIM}, [0])


def test_scores_of_another_training_are_refused(tmp_path):
    evaluated = evaluation(tmp_path / "evaluation", {"1.png": "1"})
    save(tmp_path, OURS, 0, evaluated, CLAIM)
    path = save(tmp_path, THEIRS, 1, evaluated, {**CLAIM, "learning_rate": 0.25})
    assert set(read_results(tmp_path, {OURS: CLAIM}, [0, 1])) == {OURS}
    with pytest.raises(InputError, match=rf"^{path} is of another training \(learning_rate was 0.25 and is 0.5\)"):
        read_results(tmp_path, {OURS: CLAIM, THEIRS: CLAIM}, [0, 1])


def test_scores_of_other_images_do_not_mix(tmp_path):
    for contestant, image in ((OURS, "1.png"), (THEIRS, "2.png")):
        save(tmp_path, contestant, 0, evaluation(tmp_path / "evaluation", {image: ""}), {})
    with pytest.raises(InputError, match="results holds scores of different images; give another --output_dir"):
        read_results(tmp_path, {OURS: {}, THEIRS: {}}, [0])


PUBLISHED = BUNDLE / "docs" / "results" / "dsb2018_256"  # saved before trainings were compared by sections


def claims_now(seed: int = 0) -> dict[Contestant, dict]:
    """What this version would claim for the trainings of the published table, in its order."""
    rows = re.findall(r"^\| (one_cycle) \| (\w+) \|", (BUNDLE / "docs" / "contest_dsb2018_256.md").read_text(), re.M)
    contestants = [Contestant(*row) for row in rows]
    claims = {}
    for each in contestants:
        saved = json.loads((PUBLISHED / f"one_cycle.{each.network}.seed_{seed}.json").read_text())["training"]
        knobs = {name: value for name, value in saved.items() if name != "config_digest"}
        claims[each] = {"format": 1, **knobs, "sections": {"network": {"_target_": each.network}}}
    return claims


def test_results_of_an_earlier_version_still_make_their_table(tmp_path):
    shutil.copytree(PUBLISHED, tmp_path / "results")
    claims = claims_now()
    assert len(claims) == 8
    results = read_results(tmp_path, claims, [0])
    cost = {"parameters": 1e6, "gmacs": 1.0, "latency": None, "step": None}
    costs = {"machine": "here", "size": 256, "networks": {each.network: cost for each in claims}}
    text = write_contest(tmp_path, results, costs, "this", "held-out")
    published = (BUNDLE / "docs" / "contest_dsb2018_256.md").read_text()
    tables = [
        [line.split(" | ")[:9] for line in page.splitlines() if "| one_cycle |" in line] for page in (text, published)
    ]
    assert tables[0] == tables[1] and len(tables[0]) == 8  # scores, intervals and differences


def test_results_of_two_versions_do_not_mix(tmp_path):
    shutil.copytree(PUBLISHED, tmp_path / "results")
    claims = claims_now()
    first, *_, last = claims
    refusal = (
        f"{tmp_path / 'results'}/one_cycle.{first.network}.seed_0.csv is of an earlier version of the bundle, whose "
        "trainings cannot be compared with those of this one; ask for networks, recipes and seeds that are all of one "
        "version, or give another --output_dir"
    )
    path = results_path(tmp_path, last, 0).with_suffix(".json")
    earlier = path.read_text()
    write_json(path, {**json.loads(earlier), "training": claims[last]})
    with pytest.raises(InputError) as refused:
        read_results(tmp_path, claims, [0])
    assert str(refused.value) == refusal
    path.write_text(earlier)
    results_path(tmp_path, last, 0).unlink()  # so that it would be trained now
    with pytest.raises(InputError) as refused:
        read_results(tmp_path, claims, [0])
    assert str(refused.value) == refusal


def test_knobs_of_results_of_an_earlier_version_are_compared(tmp_path):
    shutil.copytree(PUBLISHED, tmp_path / "results")
    claims = {each: {**claim, "learning_rate": 0.01} for each, claim in claims_now().items()}
    with pytest.raises(InputError, match=r"is of another training \(learning_rate was 0.001 and is 0.01\)"):
        read_results(tmp_path, claims, [0])
