# SPDX-License-Identifier: Apache-2.0

"""The result of a contest: a table with paired differences, and a plot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..common.files import read_json, write_json, write_text
from ..common.score_table import PAPER, parse_name, score_named, shown_in
from ..data.splits.protocols import PROTOCOLS
from ..evaluation.intervals import interval_text, mean_with_interval
from .contestants import Contestant
from .results import Results, Table, results_path

__all__ = ["write_contest"]


def write_contest(folder: Path, results: Results, speed: Mapping[str, Any], command: str, protocol: str) -> str:
    """Write ``contest.md``, ``contest.json`` and ``contest.png``.

    Means are over images, each the mean over seeds; differences are to the first network by the same recipe, and only
    with the seeds that both have. Intervals are by the bootstrap over groups of images: they tell of other images, and
    the standard deviation over seeds of other trainings. Hours are those of a training and its evaluation.

    Args:
        folder: where to.
        results: the scores.
        speed: what the networks cost.
        command: that repeats the contest.
        protocol: of the trainings, by which the scores are to be read.

    Returns:
        The text of ``contest.md``.
    """
    first = next(iter(results)).network
    trainings = {
        each: [read_json(results_path(folder, each, seed).with_suffix(".json")) for seed in by_seed]
        for each, by_seed in results.items()
    }
    rows_of = [
        {**_row(each, results, first), "hours": mean(training["hours"] for training in trainings[each])}
        for each in results
    ]
    text = _text(rows_of, list(chain(*trainings.values())), speed, command, PROTOCOLS[protocol].text)
    found = {"command": command, "protocol": protocol, "contestants": rows_of, "speed": speed}
    write_json(folder / "contest.json", found)
    write_text(folder / "contest.md", text)
    _plot(rows_of).savefig(folder / "contest.png", dpi=120, bbox_inches="tight")
    return text


def _row(each: Contestant, results: Results, first: str) -> dict[str, Any]:
    """All that the table tells of a contestant's scores."""
    by_seed = results[each]
    reference = results.get(Contestant(each.recipe, first), {})
    both = [seed for seed in by_seed if seed in reference and each.network != first]
    row: dict[str, Any] = {"recipe": each.recipe, "network": each.network, "seeds": list(by_seed), "scores": {}}
    first_table = next(iter(by_seed.values()))
    groups = [image["group"] for image in first_table.values()]
    row["num_images"] = len(groups)
    for name in shown_in("contest"):
        found = mean_with_interval(_over_seeds(by_seed, first_table, by_seed, name), groups)
        of_seeds = [mean(image[name] for image in table.values()) for table in by_seed.values()]
        found["sd_of_seeds"] = stdev(of_seeds) if len(of_seeds) > 1 else None
        if both:
            ours, theirs = (_over_seeds(tables, first_table, both, name) for tables in (by_seed, reference))
            differences = [a - b for a, b in zip(ours, theirs)]
            found["difference"] = {"seeds": both, **mean_with_interval(differences, groups)}
        row["scores"][name] = found
    return row


def _over_seeds(tables: Mapping[int, Table], images: Iterable[str], seeds: Iterable[int], name: str) -> list[float]:
    """The mean score of each image over some seeds."""
    chosen = [tables[seed] for seed in seeds]
    return [mean(table[image][name] for table in chosen) for image in images]


def _text(
    rows: Sequence[Mapping[str, Any]],
    trainings: Sequence[Mapping[str, Any]],
    speed: Mapping[str, Any],
    command: str,
    protocol: str,
) -> str:
    first, size = rows[0]["network"], speed["size"]
    lines = ["# Contest", "", f"    {command}", ""]
    lines += [f"{_hours(trainings)}:", *sorted({f"- {each['machine']}" for each in trainings}), ""]
    lines += [
        f"The {protocol}. Means over {rows[0]['num_images']} images at their original size, each the mean over seeds, "
        "with 95 % intervals over groups of them; sd: standard deviation of the mean Dice over seeds; "
        f"less {first}: the difference in Dice by the same recipe, paired by image and seed; hours: of a training and "
        "its evaluation, the mean over seeds. "
        f"Speed: one image of {size} x {size}, and a training step of 8; {speed['machine']}",
        "",
    ]
    of_distances = "mm" if "pixel_size" in trainings[0].get("training", {}) else "pixels"
    units = {"share": ", %", "distance": f", {of_distances}", "count": ""}
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
    taken = sum(each["hours"] for each in trainings)
    return f"{len(trainings)} training{'s' * (len(trainings) > 1)} in {taken:.1f} hours, evaluations counted"


def _cell(found: Mapping[str, Any], times: float, form: str = ".2f") -> str:
    ends = ("mean", "low", "high")
    scaled = {end: None if found[end] is None else times * found[end] for end in ends}  # one group has no interval
    return f"{scaled['mean']:{form}} ({interval_text(scaled, form)})"


def _plot(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Dice of each, and its difference to the first network, which tells far more: images differ more than networks."""
    figure = Figure(figsize=(10, 1 + 0.35 * len(rows)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    dice = {f"{row['network']}, {row['recipe']}": row["scores"]["dice"] for row in reversed(rows)}
    _draw(left, dice)
    left.set_xlabel("Dice, % (mean over images, 95 % interval)")
    _draw(right, {name: found["difference"] for name, found in dice.items() if "difference" in found})
    right.axvline(0, color="tab:blue", linewidth=1)
    right.set_xlabel(f"less {rows[0]['network']} (paired, 95 % interval)")
    return figure


def _draw(axis: Axes, found: Mapping[str, Mapping[str, Any]]) -> None:
    """Draw means with their intervals, in percent."""
    means = [100 * each["mean"] for each in found.values()]
    spread = [
        [0 if each[end] is None else 100 * abs(each[end] - each["mean"]) for each in found.values()]
        for end in ("low", "high")
    ]
    names = list(found)
    axis.errorbar(means, names, xerr=spread, fmt="none", ecolor="lightgray")
    axis.scatter(means, names, c=["tab:blue" if name.startswith("qtseg") else "tab:gray" for name in names], zorder=3)
    axis.grid(axis="x", alpha=0.3)
