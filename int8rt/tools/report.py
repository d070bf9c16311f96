"""Reports as text: what the command line prints where it does not print JSON. Plain values in, lines out.

Lines have rich's markup for bold and dim; what comes from a file is escaped. Tables are rich's. A table or a picture is
as wide as its content, unless there is a terminal: then names are shortened in the middle until it fits.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from int8rt.errors import printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.measure import Measurement
    from rich.table import Table

Report = dict[str, Any]
Lines = list["str | Table"]


def escape(text: str) -> str:
    """The text with nothing in it that rich takes for markup, or a terminal for anything but characters."""
    from rich.markup import escape  # when it is needed first: JSON does without rich

    return escape(printable(text))


# Tables


def table(header: Sequence[str], rows: Iterable[Sequence[str]], flexible: int = -1, wraps: bool = False) -> Table:
    """Aligned columns: text to the left, numbers (a header that ends in a space) to the right.

    Where the terminal is too narrow for all, the column ``flexible`` is shortened, or its text wraps.
    """
    from rich.table import Table
    from rich.text import Text

    found = Table(box=None, padding=(0, 0, 0, 2), header_style="bold")
    flexible %= len(header)
    for number, title in enumerate(header):
        side: Literal["left", "right"] = "right" if title.endswith(" ") else "left"
        found.add_column(title.strip(), justify=side, no_wrap=number != flexible)
    for row in rows:
        cells: list[Any] = [Text(printable(cell)) for cell in row]
        if not wraps:
            cells[flexible] = Name(row[flexible])
        found.add_row(*cells)
    return found


class Name:
    """A cell's text, of which the middle is left out where there is no room for it."""

    def __init__(self, text: str) -> None:
        self.text = printable(text)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[str]:
        yield escape(shortened(self.text, options.max_width))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        from rich.measure import Measurement

        return Measurement(min(len(self.text), 12), len(self.text))


def show(console: Console, report: Iterable[str | Table]) -> None:
    """Print lines with markup, and tables; in a pipe or a file nothing is shortened or broken."""
    for part in report:
        if isinstance(part, str):
            console.print(part, highlight=False, soft_wrap=not console.is_terminal)
        elif console.is_terminal:
            console.print(part, highlight=False)
        else:
            for line in plain(part):
                console.print(line, highlight=False, markup=False, soft_wrap=True)


def plain(table: Table) -> list[str]:
    """The lines of a table that is as wide as its content."""
    from rich.console import Console

    console = Console(color_system=None, legacy_windows=False)
    lines = console.render_lines(table, console.options.update(width=1 << 20), pad=False)
    return ["".join(segment.text for segment in line).rstrip() for line in lines]


def shortened(text: str, width: int) -> str:
    """The text with its middle left out where it is longer than ``width``."""
    text = printable(text)
    if len(text) <= width:
        return text
    head = (width - 1) // 3
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"


# run


def outputs(ports: Sequence[Report]) -> list[str]:
    """Every output with its values, and the reals that they stand for."""
    lines = []
    for y in ports:
        lines.append(f"[bold]{escape(y['name'])}[/]  {y['type']}{escape(str(y['shape']))}{_quantization(y)}")
        lines += [f"  {escape(line)}" for line in y["text"].splitlines()]
        if "real" in y:
            lines += [f"  [dim]{escape(line)}[/]" for line in y["real"].splitlines()]
    return lines


def classes(items: Sequence[Sequence[Report]], width: int | None = None) -> list[str]:
    """The best classes of each item; a bar where the scores are probabilities."""
    lines = []
    for number, item in enumerate(items):
        if len(items) > 1:
            lines.append(f"[bold]item {number}[/]")
        longest = max(len(printable(c["label"])) for c in item)
        longest = longest if width is None else min(longest, max(width - 42, 12))
        for c in item:
            score, label = c["score"], escape(shortened(c["label"], longest).ljust(longest))
            if all(0 <= other["score"] <= 1 for other in item):
                bar = "█" * round(30 * score)
                lines.append(f"{label}  {score:7.2%}" + (f"  [green]{bar}[/]" if bar else ""))
            else:
                lines.append(f"{label}  {score:10.4g}")
    return lines


def times(summary: Report) -> str:
    """One line on how long runs take."""
    low, median, high = (duration(summary[key]) for key in ("min", "median", "p90"))
    return f"{summary['runs']:,} runs: min {low}, median {median}, p90 {high}"


def warmup(result: Report) -> list[str]:
    """What was compiled and removed."""
    folder = escape(result["folder"])
    if result["compiled"]:
        lines = [f"{_count(result['compiled'], 'kernel')} compiled in {result['seconds']:.1f} s, kept in {folder}"]
    else:
        lines = [f"nothing to compile; {folder} has what is needed"]
    if result.get("lacking"):
        lines.append(f"{_count(result['lacking'], 'kernel')} of other versions have no use in this one")
    if "pruned" in result:
        lines.append(f"{result['pruned'] / 2**20:.1f} MiB of other versions removed")
    return lines


def cache(result: Report) -> list[str]:
    """Where compiled code is kept, how much, and why it is not used where that is so."""
    lines = [f"{nbytes(result['removed'])} removed"] if "removed" in result else []
    ours = result["of_this_version"]
    used = "" if result["on"] else ", not used: INT8RT_CACHE is off"
    if result["distrusted"]:
        used = f", not used: {escape(result['distrusted'])}"
    lines.append(f"{escape(result['folder'])}{used}")
    lines.append(f"{_count(result['files'], 'file')}, {nbytes(result['bytes'])}")
    lines.append(f"of this version and CPU: {_count(ours['kernels'], 'kernel')}, {nbytes(ours['bytes'])}")
    if result["other_versions"]:
        lines.append(f"of other versions: {_count(result['other_versions'], 'folder')} (int8rt warmup --prune)")
    return lines


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def duration(seconds: float) -> str:
    """Seconds in a unit that fits them."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3f} {unit}"
    return f"{seconds / 1e-6:.1f} µs"


def nbytes(count: int) -> str:
    """Bytes in a unit that fits them."""
    for unit, size in (("MB", 10**6), ("KB", 10**3)):
        if count >= 10 * size or (unit == "KB" and count >= size):
            return f"{count / size:,.1f} {unit}"
    return f"{count} bytes"


# info


def info(report: Report) -> Lines:
    """What a model is."""
    what = escape(report["description"] or "a model without description").rstrip(".")
    more = f", {report['subgraphs']} subgraphs" if report["subgraphs"] > 1 else ""
    lines: Lines = [f"[bold]{what}[/], {report['bytes']:,} bytes{more}", ""]
    for kind in ("inputs", "outputs"):
        for t in report[kind]:
            signature = f"  signature {t['shape_signature']}" if "shape_signature" in t else ""
            form = f"{t['type']}{t['shape']}{_quantization(t)}{signature}"
            lines.append(f"[bold]{kind[:-1]:<6}[/]  {escape(t['name'])}")
            lines.append(f"        {escape(form)}")
    if report["signatures"]:
        listed = "; ".join(
            f"{s['key']}({', '.join(s['inputs'])}) -> {', '.join(s['outputs'])}" for s in report["signatures"]
        )
        lines.append(f"[bold]callable as[/]  {escape(listed)}")
    rows = [
        [row["op"], str(row["version"]), str(row["nodes"]), f"{row['inputs']} -> {row['outputs']}",
         "" if row["supported"] else "not supported"]
        for row in report["operators"]
    ]  # fmt: skip
    lines += ["", table(["operator", "version ", "nodes ", "types", ""], rows, flexible=3, wraps=True), ""]
    if "unsupported" in report:
        lines.append(f"[red]cannot run[/]: {escape(report['unsupported'])}")
    if "memory" in report:
        lines.append(_memory_sizes(report["memory"]))
    return lines


def _quantization(t: Report) -> str:
    if not t["scale"]:
        return ""
    zero = t["zero_point"]
    return f"  = {t['scale']:.7g} * " + (f"(q {'+-'[zero > 0]} {abs(zero)})" if zero else "q")


def _memory_sizes(memory: Report) -> Table:
    over = memory["arena"] / max(memory["lower_bound"], 1) - 1
    what = {
        "arena": "arena, for all that a run writes" + (f": {over:.1%} above the least" if over else ""),
        "lower_bound": "the least possible: what must be alive at one step",
        "tensors": "if no tensor shared its memory with others",
        "packed": "weights and tables, packed for the kernels",
    }
    return table(["bytes ", "memory"], [[f"{memory[key]:,}", text] for key, text in what.items()], wraps=True)


KEYS = string.ascii_lowercase + string.ascii_uppercase + string.digits
CELLS = 40


def memory(report: Report) -> Lines:
    """Which tensor lives where and when: a picture, a line per step and a column per 1/CELLS of the arena; a table."""
    blocks = report["blocks"]
    keys = [KEYS[i % len(KEYS)] for i in range(len(blocks))]
    label = min(max(map(len, report["steps"]), default=0), 28)  # so that a line has 80 columns at most
    scale = f"0{nbytes(report['arena']):>{CELLS - 1}}"
    lines: Lines = ["", f"[bold]  step  {shortened('node and kernel', label):<{label}}  {scale}[/]"]
    for number, step in enumerate(report["steps"]):
        lines.append(f"  {number:>4}  {escape(shortened(step, label).ljust(label))}  {_cells(report, keys, number)}")
    rows = [
        [key, f"{b['bytes']:,}", f"{b['offset']:,}", f"{b['first']} - {b['last']}", name]
        for key, b in zip(keys, blocks, strict=True)
        for name in (b["tensor"], *b["shared_with"])
    ]
    return [*lines, "", table(["", "bytes ", "offset ", "steps", "tensor"], rows)]


def _cells(report: Report, keys: Sequence[str], step: int) -> str:
    """The arena during one step: the key of the tensor in each cell, small over large, · where there is none."""
    cells = ["·"] * CELLS
    per_cell = max(report["arena"], 1) / CELLS
    alive = [(b, key) for b, key in zip(report["blocks"], keys, strict=True) if b["first"] <= step <= b["last"]]
    for b, key in sorted(alive, key=lambda item: -item[0]["bytes"]):
        first = min(int(b["offset"] / per_cell), CELLS - 1)
        last = max(round((b["offset"] + b["bytes"]) / per_cell), first + 1)
        for cell in range(first, min(last, CELLS)):
            cells[cell] = key
    return "".join(cells)


# compare


def comparison(report: Report) -> Lines:
    """Equal, or where the first difference arose."""
    runs = f"{report['runs']} run{'s' if report['runs'] > 1 else ''}"
    what = f"{report['tensors']} tensors, {runs}, LiteRT {report['version']} {report['resolver']}"
    if report["equal"]:
        lines: Lines = [f"[green]equal[/]: every byte of {what}"]
    else:
        differences = report["differences"]
        origins = [d for d in differences if d["is_origin"]]
        lines = [f"[red]different[/]: {what}", f"first: {escape(differences[0]['text'])}"]
        rows = [
            [
                str(d["run"]),
                f"{d['op']} (node {d['node']})",
                f"{d['differing']:,} of {d['size']:,}",
                f"{d['largest']:g}",
                d["tensor"],
            ]
            for d in origins
        ]
        spread = len(differences) - len(origins)
        where = f"{len(origins)} nodes and spread to {spread} tensors behind them"
        if len(origins) == 1:
            where = f"1 node and spread to {spread} tensors behind it"
        lines += ["", f"differences arose at {where}:"]
        header = ["run ", "node", "elements ", "by up to ", "tensor"]
        lines.append(table(header, rows[:ORIGINS]))
        lines += [f"  and {len(rows) - ORIGINS} more"] if len(rows) > ORIGINS else []
    if report["not_compared"]:
        lines.append(f"[dim]LiteRT gives no values of {len(report['not_compared'])} tensors[/]")
    return lines


ORIGINS = 20  # how many are listed


# bench


def profile(rows: Sequence[Report]) -> Lines:
    """Where the time goes, per node and per operator."""
    total = sum(r["seconds"] for r in rows) or 1.0
    seconds: Counter[str] = Counter()
    work: Counter[str] = Counter()
    for r in rows:
        seconds[r["op"]] += r["seconds"]
        work[r["op"]] += r["work"]

    def cells(name: str, s: float, operations: float) -> list[str]:
        return [
            name,
            f"{s * 1e6:,.{2 if s < 1e-5 else 1}f}",
            f"{s / total:.1%}",
            f"{operations / s / 1e9:.1f}" if s else "",
        ]

    by_node = [cells(f"{r['op']} (node {r['node']}) {r['kernel']}", r["seconds"], r["work"]) for r in rows]
    by_op = [cells(op, s, work[op]) for op, s in seconds.most_common()]
    columns = ["µs ", "share ", "G/s "]
    nodes, operators = ([title, *columns] for title in ("node and kernel", "operator"))
    return ["", table(nodes, by_node, flexible=0), "", table(operators, by_op, flexible=0)]


# quantize


def quantized(result: Report) -> Lines:
    """A row for each node of the float model, and what came of it all."""
    rows = [
        [
            f"{r['op']} (node {r['node']})",
            f"{r['range'][0]:.5g}",
            f"{r['range'][1]:.5g}",
            "float" if r["scale"] is None else f"{r['scale']:.5g}",
            "" if r["zero_point"] is None else str(r["zero_point"]),
            decibels(r["snr"]),
            r["output"],
        ]
        for r in result["nodes"]
    ]
    columns = ["node", "least ", "most ", "scale ", "zero point ", "SNR ", "output"]
    before = f" ({nbytes(result['nbytes_before'])} before)" if result["nbytes_before"] else ""
    lines: Lines = [table(columns, rows), ""]
    if result["kept"]:
        lines.append(f"kept as floats: {escape(', '.join(result['kept']))}")
    lines.append(f"signal to noise of the outputs: {', '.join(map(decibels, result['snr']))}")
    return [*lines, f"{escape(result['output'])}: {nbytes(result['nbytes'])}{before}"]


def decibels(snr: float) -> str:
    """A signal-to-noise ratio."""
    return "exact" if snr == float("inf") else f"{snr:.1f} dB"


# ops


def operators(found: Report) -> Lines:
    """A row per operator and set of LiteRT's kernels; types that need a word about them are marked."""
    rows = [[r["op"], r["versions"], r["against"], str(r["cases"]), r["types"]] for r in found["operators"]]
    lines: Lines = [table(["operator", "versions ", "checked against", "cases ", "types"], rows, wraps=True)]
    lines += ["", f"[dim]LiteRT {escape(found['litert'])}; ~ equal within a bound, * LiteRT's result is wrong:[/]"]
    lines += ["[dim]see docs/numerics.md[/]"]
    if found["not_in_the_table"]:
        lines += ["", f"supported, and tested elsewhere: {', '.join(found['not_in_the_table'])}"]
    if found["lacking"]:
        lines += ["", f"LiteRT has, int8rt has not: {', '.join(found['lacking'])}"]
    return lines
