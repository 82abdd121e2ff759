"""The table: a figure, its baseline of the same run, their ratio, and the design's budget."""

from dataclasses import dataclass


@dataclass
class Row:
    name: str
    figure: float
    unit: str
    baseline: float | None = None
    against: str = ""
    least: float | None = None  # of the ratio figure/baseline
    most: float | None = None
    limit: float | None = None  # of the figure itself

    @property
    def ratio(self):
        return self.figure / self.baseline if self.baseline else None

    @property
    def budget(self):
        if self.least is not None:
            return f"≥ {self.least:g} x"
        if self.most is not None:
            return f"≤ {self.most:g} x"
        return f"≤ {self.limit:g} {self.unit}" if self.limit is not None else ""

    @property
    def verdict(self):
        if self.least is not None:
            return "ok" if self.ratio >= self.least else "short"
        if self.most is not None:
            return "ok" if self.ratio <= self.most else "short"
        if self.limit is not None:
            return "ok" if self.figure <= self.limit else "short"
        return ""

    def cells(self):
        return [
            self.name,
            f"{number(self.figure)} {self.unit}",
            f"{number(self.baseline)} {self.unit}" if self.baseline is not None else "",
            self.against,
            f"{self.ratio:.2f} x" if self.ratio is not None else "",
            self.budget,
            self.verdict,
        ]


HEAD = ["", "nightjar", "baseline", "which is", "ratio", "budget", ""]


def number(n):
    return f"{n:,.0f}" if n >= 100 else f"{n:.1f}" if n >= 10 else f"{n:.2f}"


def show(rows):
    cells = [HEAD] + [row.cells() for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(HEAD))]
    for line in cells:
        print("  ".join(c.rjust(w) if i in (1, 2, 4) else c.ljust(w)
                        for i, (c, w) in enumerate(zip(line, widths))).rstrip())


def percentile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * p / 100))]
