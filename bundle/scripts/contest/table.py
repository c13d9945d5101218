# SPDX-License-Identifier: Apache-2.0

"""Write the result of a contest: a table with paired differences, and a plot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..common.files import write_json, write_text
from ..common.score_table import PAPER, parse_name, score_named, shown_in
from ..data.splits.protocols import PROTOCOLS
from ..evaluation.intervals import interval_text, mean_with_interval
from .contestants import Contestant
from .results import Results, Table, read_record, results_path

__all__ = ["write_contest"]


def write_contest(folder: Path, results: Results, speed: Mapping[str, Any], command: str, protocol: str) -> str:
    """Write ``contest.md``, ``contest.json`` and ``contest.png``.

    The score of an image is its mean over seeds, and means are over images. Differences are to the first network with
    the same recipe, over the seeds that both have. Intervals are by the bootstrap over groups of images: they show how
    much the result would vary with other images. The standard deviation over seeds shows how much it would vary with
    other trainings. Hours are the mean over seeds of the hours of a training and its evaluation.

    Args:
        folder: folder of the contest, where the files are written.
        results: the scores, from :py:func:`.results.read_results`.
        speed: what the networks cost, from :py:func:`.speed.measured`.
        command: the command that repeats the contest.
        protocol: name in :py:data:`..data.splits.protocols.PROTOCOLS` of what the scores mean.

    Returns:
        The text of ``contest.md``.
    """
    first = next(iter(results)).network
    trainings = {
        contestant: [read_record(results_path(folder, contestant, seed)) for seed in by_seed]
        for contestant, by_seed in results.items()
    }
    rows = [
        {**_row(contestant, results, first), "hours": mean(training["hours"] for training in trainings[contestant])}
        for contestant in results
    ]
    text = _text(rows, list(chain(*trainings.values())), speed, command, PROTOCOLS[protocol].text)
    contest = {"command": command, "protocol": protocol, "contestants": rows, "speed": speed}
    write_json(folder / "contest.json", contest)
    write_text(folder / "contest.md", text)
    _plot(rows).savefig(folder / "contest.png", dpi=120, bbox_inches="tight")
    return text


def _row(contestant: Contestant, results: Results, first: str) -> dict[str, Any]:
    """Compute all that the table shows about the scores of a contestant; ``first`` is the first network."""
    by_seed = results[contestant]
    reference = results.get(Contestant(contestant.recipe, first), {})
    common_seeds = [seed for seed in by_seed if seed in reference and contestant.network != first]
    row: dict[str, Any] = {
        "recipe": contestant.recipe,
        "network": contestant.network,
        "seeds": list(by_seed),
        "scores": {},
    }
    first_table = next(iter(by_seed.values()))
    groups = [image["group"] for image in first_table.values()]
    row["num_images"] = len(groups)
    for name in shown_in("contest"):
        score = mean_with_interval(_over_seeds(by_seed, first_table, by_seed, name), groups)
        seed_means = [mean(image[name] for image in table.values()) for table in by_seed.values()]
        score["sd_of_seeds"] = stdev(seed_means) if len(seed_means) > 1 else None
        if common_seeds:
            scores, others = (_over_seeds(tables, first_table, common_seeds, name) for tables in (by_seed, reference))
            differences = [a - b for a, b in zip(scores, others)]
            score["difference"] = {"seeds": common_seeds, **mean_with_interval(differences, groups)}
        row["scores"][name] = score
    return row


def _over_seeds(tables: Mapping[int, Table], images: Iterable[str], seeds: Iterable[int], name: str) -> list[float]:
    """Return the mean score of every image over some seeds."""
    selected = [tables[seed] for seed in seeds]
    return [mean(table[image][name] for table in selected) for image in images]


def _text(
    rows: Sequence[Mapping[str, Any]],
    trainings: Sequence[Mapping[str, Any]],
    speed: Mapping[str, Any],
    command: str,
    protocol: str,
) -> str:
    first, size = rows[0]["network"], speed["size"]
    lines = ["# Contest", "", f"    {command}", ""]
    lines += [f"{_hours(trainings)}:", *sorted({f"- {training['machine']}" for training in trainings}), ""]
    lines += [
        f"The {protocol}. Means over {rows[0]['num_images']} images at their original size, each the mean over seeds, "
        "with 95 % intervals over groups of them; sd: standard deviation of the mean Dice over seeds; "
        f"less {first}: the difference in Dice by the same recipe, paired by image and seed; hours: of a training and "
        "its evaluation, the mean over seeds. "
        f"Speed: one image of {size} x {size}, and a training step of 8; {speed['machine']}",
        "",
    ]
    distance_unit = "mm" if "pixel_size" in trainings[0].get("training", {}) else "pixels"
    units = {"share": ", %", "distance": f", {distance_unit}", "count": ""}
    shown = [name for name in shown_in("contest") if parse_name(name).prefix != PAPER]
    scores = [f"{score_named(name).label}{units[score_named(name).unit]}" for name in shown]
    header = ["recipe", "network", "seeds", *scores, "sd", f"less {first}"]
    header += ["parameters, M", "GMACs", "1 image, ms", "step, ms", "hours"]
    lines += [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    for row in rows:
        cells = [row["recipe"], row["network"], ", ".join(map(str, row["seeds"]))]
        cells += [_cell(row["scores"][name], 100 if score_named(name).unit == "share" else 1) for name in shown]
        dice, cost = row["scores"]["dice"], speed["networks"][row["network"]]
        cells.append("-" if dice["sd_of_seeds"] is None else f"{100 * dice['sd_of_seeds']:.2f}")
        cells.append(_cell(dice["difference"], 100, "+.2f") if "difference" in dice else "-")
        cells += [f"{cost['parameters'] / 1e6:.2f}", f"{cost['gmacs']:.2f}"]
        cells += [f"{cost[name]['median']:.0f}" if cost[name] else "-" for name in ("latency", "step")]
        cells.append(f"{row['hours']:.2f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _hours(trainings: Sequence[Mapping[str, Any]]) -> str:
    hours = sum(training["hours"] for training in trainings)
    return f"{len(trainings)} training{'s' * (len(trainings) > 1)} in {hours:.1f} hours, evaluations counted"


def _cell(score: Mapping[str, Any], factor: float, form: str = ".2f") -> str:
    keys = ("mean", "low", "high")
    scaled = {key: None if score[key] is None else factor * score[key] for key in keys}  # one group has no interval
    return f"{scaled['mean']:{form}} ({interval_text(scaled, form)})"


def _plot(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Plot the Dice of every contestant, and its difference to the first network.

    The paired difference shows more than the Dice itself, because images differ more than networks.
    """
    figure = Figure(figsize=(10, 1 + 0.35 * len(rows)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    dice = {f"{row['network']}, {row['recipe']}": row["scores"]["dice"] for row in reversed(rows)}
    _draw(left, dice)
    left.set_xlabel("Dice, % (mean over images, 95 % interval)")
    _draw(right, {name: score["difference"] for name, score in dice.items() if "difference" in score})
    right.axvline(0, color="tab:blue", linewidth=1)
    right.set_xlabel(f"less {rows[0]['network']} (paired, 95 % interval)")
    return figure


def _draw(axis: Axes, scores: Mapping[str, Mapping[str, Any]]) -> None:
    """Draw means with their intervals, in percent, by the names of the contestants."""
    means = [100 * score["mean"] for score in scores.values()]
    spread = [
        [0 if score[end] is None else 100 * abs(score[end] - score["mean"]) for score in scores.values()]
        for end in ("low", "high")
    ]
    names = list(scores)
    axis.errorbar(means, names, xerr=spread, fmt="none", ecolor="lightgray")
    axis.scatter(means, names, c=["tab:blue" if name.startswith("qtseg") else "tab:gray" for name in names], zorder=3)
    axis.grid(axis="x", alpha=0.3)
