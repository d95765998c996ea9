"""A folder with plots, the figures and a hardware card: ``python -m perf.report FOLDER [--quick] [RESULT...]``.

Without results it measures: the benches whose figures are drawn, and profiles of a node. A result is what
``dropbeard bench NAME --json``, ``perf/reproduce_800.py --json`` or ``python -m perf.profile`` prints. What can be
drawn is: throughput against latency, CPU for a request by stage, scaling with n, the wide area. The plots need
matplotlib (extra ``perf``); without it the rest is written and a line says so.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from perf._hardware import card, write_card
from perf._measure import ROOT
from perf.ordering import LARGE_IN_FLIGHT, LARGE_SIDE, SMALL_IN_FLIGHT, SMALL_SIDE

RATE_OF_THE_PAPER: Final = 800.0
DRAWN: Final = ("ordering", "scaling", "wan")
IDLE: Final = "idle"
WIDTH: Final = 50
"""Columns of a bar of the text chart."""

Row = Mapping[str, Any]


def chart_of_rates(curve: Sequence[Row], target: float) -> str:
    """Certified against offered as bars of text, with the line of the target rate drawn through."""
    most = max([target, *(float(row["certified_per_s"]) for row in curve)])
    at = round(WIDTH * target / most)
    lines = [f"{'offered/s':>10} {'certified/s':>12} {'p99 ms':>8}  " + " " * at + f"| {target:g}/s"]
    for row in curve:
        bar = "#" * round(WIDTH * float(row["certified_per_s"]) / most)
        drawn = bar[:at].ljust(at) + "|" + bar[at:]
        lines.append(f"{row['offered_per_s']:>10g} {row['certified_per_s']:>12g} {row['p99_ms']:>8g}  {drawn}")
    return "\n".join(lines) + "\n"


def draw(figures: Sequence[Row], profiles: Sequence[Row], folder: Path) -> list[str]:
    """Names of the plots made."""
    import matplotlib

    matplotlib.use("Agg")
    made = {
        "throughput_latency.png": (_rates, [row for row in figures if row["detail"].get("curve")]),
        "cpu_by_stage.png": (_stages, list(profiles)),
        "scaling.png": (_scaling, [row for row in figures if row["detail"].get("by_n")]),
        "wan.png": (_wide, [row for row in figures if "sites" in row["detail"]]),
    }
    drawn = []
    for name, (plot, rows) in made.items():
        if rows:
            plot(rows, folder / name)
            drawn.append(name)
    return drawn


def _axes(title: str) -> tuple[Any, Any]:
    from matplotlib import pyplot

    canvas, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    axes.set_title(title)
    axes.grid(alpha=0.3)
    return canvas, axes


def _keep(canvas: Any, path: Path) -> None:
    from matplotlib import pyplot

    canvas.savefig(path, dpi=120)
    pyplot.close(canvas)


def _rates(figures: Sequence[Row], path: Path) -> None:
    canvas, axes = _axes("Throughput against latency")
    for row in figures:
        curve = row["detail"]["curve"]
        rates = [point["certified_per_s"] for point in curve]
        for part, dashes in (("p50_ms", "-"), ("p99_ms", "--")):
            axes.plot(rates, [point[part] for point in curve], dashes, marker="o", label=f"{row['figure']} {part[:3]}")
    axes.axvline(RATE_OF_THE_PAPER, color="black", label=f"{RATE_OF_THE_PAPER:g}/s")
    axes.set(xlabel="certified requests/s", ylabel="latency, ms", yscale="log")
    axes.legend()
    _keep(canvas, path)


def _stages(profiles: Sequence[Row], path: Path) -> None:
    from matplotlib import colormaps, pyplot

    canvas, axes = pyplot.subplots(1, len(profiles), figsize=(4 + 3 * len(profiles), 6), layout="constrained")
    canvas.suptitle("CPU of a node for a request, by stage")
    stages = sorted({stage for profile in profiles for stage in cpu_by_stage(profile)})
    colours = dict(zip(stages, colormaps["tab20"].colors, strict=False))
    for profile, one in zip(profiles, axes if len(profiles) > 1 else [axes], strict=True):
        bottom = 0.0
        for stage, height in cpu_by_stage(profile).items():
            one.bar([f"{profile['input_bytes']} bytes"], [height], bottom=[bottom], color=colours[stage], width=0.5)
            bottom += height
        one.set(xlabel=f"{profile['certified_per_s']:g} requests/s", ylabel="microseconds", xlim=(-0.5, 0.5))
    handles = [pyplot.Rectangle((0, 0), 1, 1, color=colours[stage], label=stage) for stage in stages]
    canvas.legend(handles=handles, fontsize="small", loc="outside right center")
    _keep(canvas, path)


def cpu_by_stage(profile: Row) -> dict[str, float]:
    """Microseconds of each stage of a profile but waiting, largest first: together what the process used. Waiting for
    the disk counts for its stage, as samples cannot tell it from work.
    """
    busy = {stage: float(us) for stage, us in profile["stages_us"].items() if stage != IDLE}
    whole = sum(busy.values())
    shares = sorted(busy.items(), key=lambda row: -row[1])
    return {stage: us * float(profile["cpu_us"]) / whole for stage, us in shares} if whole else {}


def _scaling(figures: Sequence[Row], path: Path) -> None:
    canvas, axes = _axes("CPU of a node for a request as the group grows")
    for row in figures:
        by_n = row["detail"]["by_n"]
        sizes, costs = [point["n"] for point in by_n], [point["node_us"] for point in by_n]
        axes.plot(sizes, costs, marker="o", label=row["figure"])
        axes.plot(sizes, [costs[0] * n / sizes[0] for n in sizes], "--", label="in proportion to n")
    axes.set(xlabel="n", ylabel="microseconds", ylim=(0, None))
    axes.legend()
    _keep(canvas, path)


def _wide(figures: Sequence[Row], path: Path) -> None:
    canvas, axes = _axes("Latency of certificates over a wide area")
    for place, row in enumerate(figures):
        for offset, part in enumerate(("mean_ms", "p50_ms", "p99_ms")):
            axes.bar(place + 0.25 * (offset - 1), row["detail"][part], 0.25, color=f"C{offset}", label=part[:-3])
        if row["floor"] is not None:
            axes.hlines(row["floor"], place - 0.4, place + 0.4, color="black", label="five delays and the wait")
    axes.set_xticks(range(len(figures)), [row["detail"]["sites"].replace(", ", ",\n") for row in figures])
    axes.set_ylabel("ms")
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    axes.legend(unique.values(), unique.keys())
    _keep(canvas, path)


def write_report(folder: Path, results: Sequence[str]) -> None:
    """``results``: JSON texts. The folder is made; files of an earlier report are replaced."""
    read = [json.loads(text) for text in results]
    figures = [row for one in read for row in one.get("figures", ())]
    profiles = [one for one in read if "stages_us" in one]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps({"figures": figures, "profiles": profiles}, indent=1) + "\n")
    write_card(folder / "hardware.md", card())
    lines = ["# Report", "", "The machine: hardware.md. All figures: results.json.", ""]
    lines += ["| figure | | unit | of floor |", "|---|---|---|---|"]
    lines += [f"| {row['figure']} | {row['value']} | {row['unit']} | {row['ratio'] or ''} |" for row in figures]
    try:
        drawn = draw(figures, profiles, folder)
    except ModuleNotFoundError:
        drawn = []
        print("no plots: they need matplotlib, pip install 'dropbeard[perf]'", file=sys.stderr)
    lines += ["", *(f"![{name}]({name})" for name in drawn)]
    (folder / "README.md").write_text("\n".join(lines) + "\n")


def measured(folder: Path, quick: bool) -> list[Path]:
    """Results of everything that is drawn, kept in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    short = ["--quick"] if quick else []
    runs = {name: ["perf", name, "--json", *short] for name in DRAWN}
    for side, in_flight in ((SMALL_SIDE, SMALL_IN_FLIGHT), (LARGE_SIDE, LARGE_IN_FLIGHT)):
        runs[f"profile-{side}"] = ["perf.profile", f"--side={side}", f"--in-flight={in_flight}"]
    kept = []
    for name, command in runs.items():
        print(f"{name} ...", file=sys.stderr, flush=True)
        done = subprocess.run(
            [sys.executable, "-m", *command], stdout=subprocess.PIPE, text=True, cwd=ROOT, check=False
        )
        if done.returncode:
            print(f"{name} failed, the report goes on without it", file=sys.stderr)
            continue
        kept.append(folder / f"{name}.json")
        kept[-1].write_text(done.stdout)
    return kept


def main() -> int:
    """Write one folder."""
    parser = argparse.ArgumentParser(prog="python -m perf.report", description="Plots and a hardware card.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("results", type=Path, nargs="*", help="measured now when none is named")
    parser.add_argument("--quick", action="store_true", help="short runs")
    chosen = parser.parse_args()
    try:
        results = chosen.results or measured(chosen.folder, chosen.quick)
        write_report(chosen.folder, [path.read_text() for path in results])
    except (OSError, ValueError, KeyError) as wrong:
        raise SystemExit(f"no report: {wrong!r}; results are what `dropbeard bench NAME --json` prints") from wrong
    return 0


if __name__ == "__main__":
    sys.exit(main())
