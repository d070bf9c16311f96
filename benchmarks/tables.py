"""Rows of contests as text for a terminal and as Markdown; JSON with the machine."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from benchmarks import machine
from benchmarks.contest import LITERT_NAMES, Row, geometric_mean
from int8rt.tools import report

MLPERF_TINY = ("ad01_int8", "kws_ref_model", "pretrainedResnet_quant", "vww_96_int8")
MARKERS = "<!-- benchmarks -->", "<!-- /benchmarks -->"

LEGEND = (
    "ms: 10th percentile of single runs, arrays in and out. XNN, OPT, REF: LiteRT's time by int8rt's (above 1: int8rt "
    "is faster); invoke: the same against XNN without copies. peak: share of what dot products alone reach here."
)


def show(lines: Sequence[str]) -> None:
    """Print lines with rich's markup; longer ones are not broken."""
    console = Console()
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def brief(row: Row) -> str:
    """One contest in one line, to be printed as it ends."""
    if "error" in row:
        return f"{row['name']}: {row['error']}"
    ratio = _ratio(row, "xnnpack")
    return f"{row['name']}, threads: {row['threads']}: {_ms(row, 'int8rt')} ms, {ratio} times as fast as XNNPACK"


def memory(row: Row) -> str:
    """Peak memory of a run in fresh processes."""
    ours, theirs = (row["memory"][who] / 2**20 for who in ("int8rt", "litert"))
    return f"peak memory of {row['name']}: int8rt {ours:.0f} MiB, LiteRT {theirs:.0f} MiB"


def text(rows: Sequence[Row]) -> list[str]:
    """The table, and what failed."""
    extra = list(dict.fromkeys(name for row in rows for name in row.get("ratio", {}) if name not in LITERT_NAMES))
    ratios = [*(f"{name} " for name in LITERT_NAMES.values()), "invoke ", *(f"{name} " for name in extra)]
    header = ["model", "threads ", "MMAC ", "ms ", "XNN ms ", *ratios, "GMAC/s ", "peak ", "where the time goes"]
    table = report.table(header, [_cells(row, extra) for row in rows if "error" not in row])
    failed = [f"{row['name']}: {row['error']}" for row in rows if "error" in row]
    failed += [f"{row['name']}: {who}: {why}" for row in rows for who, why in row.get("errors", {}).items()]
    return [*map(escape, report.plain(table)), *(f"[dim]{escape(line)}[/]" for line in dict.fromkeys(failed))]


def _cells(row: Row, extra: Sequence[str]) -> list[str]:
    shares = [f"{op} {share:.0%}" for op, share in list(row.get("operators", {}).items())[:3]]
    return [
        row["name"],
        str(row["threads"]),
        f"{row['macs'] / 1e6:.1f}" if row["macs"] else "",
        _ms(row, "int8rt"),
        _ms(row, "xnnpack"),
        *(_ratio(row, who) for who in LITERT_NAMES),
        _ratio(row, "xnnpack", "invoke"),
        *(_ratio(row, who) for who in extra),
        f"{row['gmacs']:.1f}" if row["macs"] else "",
        f"{row['share_of_peak']:.0%}" if row["macs"] else "",
        ", ".join(shares),
    ]


def _ms(row: Row, who: str) -> str:
    found = row["seconds"].get(who)
    if found is None:
        return "-"
    ms = found["run"]["p10"] * 1e3
    return f"{ms:.{2 if ms >= 1 else 4}f}"


def _ratio(row: Row, who: str, kind: str = "run") -> str:
    value = row["ratio"].get(who, {}).get(kind)
    return "-" if value is None else f"{value:.2f}" if value < 10 else f"{value:.0f}"


def means(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Geometric mean, median and least of the ratios to XNNPACK, by group and number of threads.

    ``at work`` is the mean without models that XNNPACK leaves to LiteRT's own kernels, which lift the other mean.
    """
    chosen: dict[str, list[Row]] = {}
    for row in rows:
        if "xnnpack" in row.get("ratio", {}):
            for name in groups(row):
                chosen.setdefault(f"{name}, threads: {row['threads']}", []).append(row)
    result = {}
    for name, found in sorted(chosen.items()):
        ratios = [row["ratio"]["xnnpack"]["run"] for row in found]
        at_work = geometric_mean(r for r, row in zip(ratios, found, strict=True) if not is_left(row))
        result[f"{name} ({len(ratios)} models)"] = {
            "mean": geometric_mean(ratios),
            "at work": at_work,
            "median": statistics.median(ratios),
            "least": min(ratios),
        }
    return result


def is_left(row: Row) -> bool:
    """Whether LiteRT with XNNPACK is about as slow as without, which shows that XNNPACK took next to nothing."""
    xnnpack, builtin = (row["ratio"].get(who, {}).get("run", 0.0) for who in ("xnnpack", "builtin"))
    return bool(builtin) and xnnpack > 0.8 * builtin


def groups(row: Row) -> list[str]:
    """The groups that a model belongs to, for means; none where it is of another kind."""
    return [row["group"]] * (row["group"] != "other") + ["MLPerf Tiny"] * (row["name"] in MLPERF_TINY)


def write_json(path: Path, rows: Sequence[Row], **more: Any) -> None:
    """All figures, and what they were measured on."""
    content = {"machine": {**machine.describe(), "peak_gmacs": machine.peak() / 1e9}, **more, "rows": rows}
    path.write_text(json.dumps(content, indent=1) + "\n")


# README


def markdown(rows: Sequence[Row]) -> str:
    """What README says: vision models and MLPerf Tiny in one table, all others in one that is folded."""
    measured = [row for row in rows if "error" not in row]
    here = machine.describe()
    averages = [
        f"- {name}: geometric mean **{found['mean']:.2f}** ({found['at work']:.2f} without †), "
        f"median {found['median']:.2f}, least {found['least']:.2f}"
        for name, found in means(measured).items()
    ]
    others = _markdown_table([row for row in measured if not groups(row)])
    return "\n".join(
        [
            f"On {here['cpu']}, {here['cores']} cores, int8 peak of one {machine.peak() / 1e9:.0f} GMAC/s as measured;",
            f"LiteRT {here.get('ai-edge-litert', '')}, Python {here['python']}, Numba {here['numba']},",
            f"{here['date'][:10]}. Times are 10th percentiles of interleaved runs, NumPy arrays in and out, on one",
            "thread unless said; × is LiteRT's time by int8rt's. XNNPACK's bits are not always the reference's;",
            "int8rt's are. †: XNNPACK leaves the model to LiteRT's own kernels (it is no faster than they are).",
            "`random_`: the architecture with random weights. Made by `python -m benchmarks.models --readme`.",
            "",
            "Against XNNPACK:",
            *averages,
            "",
            *_markdown_table([row for row in measured if groups(row)]),
            "",
            *(["<details><summary>Other models</summary>", "", *others, "", "</details>"] if len(others) > 2 else []),
        ]
    )


def _markdown_table(rows: Sequence[Row]) -> list[str]:
    """A line per model; its columns are those of fewest threads, and the ratio for each number of them."""
    by_name: dict[str, dict[int, Row]] = {}
    for row in rows:
        by_name.setdefault(row["name"], {})[row["threads"]] = row
    counts = sorted({row["threads"] for row in rows})
    ratios = [f"× XNNPACK, {n} thread{'s' * (n > 1)}" for n in counts]
    header = ["model", "MMAC", "int8rt ms", "XNNPACK ms", *ratios, "× BUILTIN_REF", "GMAC/s", "of peak"]
    lines = ["| " + " | ".join(header) + " |", "|---|" + "--:|" * (len(header) - 1)]
    for name, found in by_name.items():
        first = found[min(found)]
        cells = [name, f"{first['macs'] / 1e6:.1f}", _ms(first, "int8rt"), _ms(first, "xnnpack")]
        cells += [f"**{_ratio(found[n], 'xnnpack')}**{' †' * is_left(found[n])}" if n in found else "" for n in counts]
        cells += [_ratio(first, "reference"), f"{first['gmacs']:.1f}", f"{first['share_of_peak']:.0%}"]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def write_readme(rows: Sequence[Row], path: Path) -> None:
    """Put the table between the markers of a README. Raises ValueError where it has none."""
    content = path.read_text()
    begin, end = MARKERS
    replaced, count = re.subn(
        f"{re.escape(begin)}.*?{re.escape(end)}",
        lambda _: f"{begin}\n{markdown(rows).rstrip()}\n{end}",
        content,
        flags=re.DOTALL,
    )
    if count != 1:
        raise ValueError(f"{path} has {count} places between {begin} and {end}, expected one")
    path.write_text(replaced)
