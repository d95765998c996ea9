"""The paper's 800 requests/s: on this machine with emulated sites and GPUs, or on GPU machines over a real network.

python perf/reproduce_800.py --local [--quick] [--backend synthetic|onnx|tensorrt] [--report FOLDER]
python perf/reproduce_800.py --hosts HOSTS [--run]      what to do on each machine, or do it over ssh
python perf/reproduce_800.py --group GENESIS            measure a group that runs, from here, nothing emulated
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """One of the three."""
    parser = argparse.ArgumentParser(prog="perf/reproduce_800.py", description="The paper's set-up, figure P13.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--local", action="store_true", help="n = 4 on three emulated sites of this machine; no root")
    what.add_argument("--hosts", type=Path, help="file of NAME ADDRESS SSH lines: commands for GPU machines")
    what.add_argument("--group", type=Path, help="genesis of a group that runs elsewhere")
    parser.add_argument("--run", action="store_true", help="with --hosts: carry the commands out")
    backends = ("synthetic", "onnx", "tensorrt")
    parser.add_argument("--backend", choices=backends, help="synthetic with --local, tensorrt with --hosts")
    parser.add_argument("--rate", type=float, default=800.0, help="requests/s offered")
    parser.add_argument("--seconds", type=float, help="of the whole rate; 60 unless quick")
    parser.add_argument("--quick", action="store_true", help="under 50 seconds in all")
    parser.add_argument("--json", action="store_true", help="one JSON object alone")
    parser.add_argument("--report", type=Path, help="folder for the plot, the hardware card and the figures")
    chosen = parser.parse_args()
    # Run as a file, Python looks for modules beside it, where `profile` would hide the standard library's.
    sys.path[0] = str(ROOT)
    return _on_machines(chosen) if chosen.hosts else _measured(chosen)


def _on_machines(chosen: argparse.Namespace) -> int:
    from dropbeard.errors import DropbeardError
    from perf._machines import carry_out, commands, read_hosts, show

    directory = Path("reproduce-800")
    try:
        rows = commands(read_hosts(chosen.hosts), chosen.backend or "tensorrt", directory)
    except DropbeardError as wrong:
        raise SystemExit(str(wrong)) from wrong
    if chosen.run:
        carry_out(rows)
    else:
        sys.stdout.write(show(rows))
    sys.stdout.write(
        f"# then, from the client's machine: python perf/reproduce_800.py --group {directory}/genesis.toml\n"
    )
    return 0


def _measured(chosen: argparse.Namespace) -> int:
    from perf._measure import report
    from perf._paper import QUICK_SECONDS, SECONDS, reproduce, reproduce_on
    from perf.report import chart_of_rates, write_report

    seconds = chosen.seconds or (QUICK_SECONDS if chosen.quick else SECONDS)
    if chosen.local:
        found = reproduce(chosen.backend or "synthetic", chosen.rate, seconds, chosen.quick)
    else:
        found = reproduce_on(chosen.group, chosen.rate, seconds, chosen.quick)
    text = report([found])
    if chosen.json:
        sys.stdout.write(f"{text}\n")
    else:
        detail: dict[str, Any] = dict(found.detail)
        sys.stdout.write(chart_of_rates(detail["curve"], chosen.rate))
        sys.stdout.write(f"P13: {found.value:g} {found.unit}, offered {detail['figure_is_of']} of {chosen.rate:g}/s\n")
        updates = f"{detail['updates']} updates, {detail['updates_refused']} refused, each {detail['update_p50_s']} s\n"
        sys.stdout.write(updates)
        sys.stdout.write("".join(f"emulated: {line}\n" for line in detail["emulated"]))
    if chosen.report:
        write_report(chosen.report, [text])
    return 0


if __name__ == "__main__":
    sys.exit(main())
