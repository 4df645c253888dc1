#!/usr/bin/env python3
"""Draws a dashboard as a picture (SVG), without Grafana: asks Prometheus what its panels ask.

    picture.py PROMETHEUS DASHBOARD PICTURE [--seconds N] [--window D]

PROMETHEUS is a URL, DASHBOARD one of dashboards/*.json. It shows the last N seconds (900 unless given);
rates are taken over D (1m). A panel whose query has no answer says "no data".
"""
import argparse
import html
import json
import math
import re
import time
import urllib.parse
import urllib.request

COLUMN, ROW, GAP = 50, 30, 6
COLOURS = ["#1f77b4", "#d9822b", "#2e8b57", "#c23b3b", "#7b5ea7", "#8c6d4f", "#c061a0", "#6b7280", "#a3a322", "#1a9ba8"]
FACTORS = {"s": [(1, "s"), (1e-3, "ms"), (1e-6, "µs")],
           "bytes": [(2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B")]}
SUFFIXES = {"reqps": "/s", "ops": "/s", "percentunit": " %"}


def ask(prometheus, path, **parameters):
    url = f"{prometheus}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)["data"]["result"]


def shown(value, unit):
    if unit in FACTORS:
        factor, suffix = next((f for f in FACTORS[unit] if abs(value) >= f[0]), FACTORS[unit][-1])
        return f"{value / factor:.3g} {suffix}"
    value = value * 100 if unit == "percentunit" else value
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return text + SUFFIXES.get(unit, "")


def scale(highest, unit):
    """The end of an axis whose four parts are numbers that people read easily."""
    base = max((factor for factor, _ in FACTORS.get(unit, []) if factor <= highest), default=1)
    part = max(highest, 1e-9) / base / 4
    power = 10 ** math.floor(math.log10(part))
    return 4 * base * power * next(digit for digit in (1, 2, 2.5, 5, 10) if digit * power >= part * 0.999)


def text(x, y, words, size=12, colour="#333", anchor="start", weight="normal"):
    return (f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}" '
            f'font-weight="{weight}">{html.escape(words)}</text>')


def colour_of(value, steps):
    """The colour of the highest threshold that is reached."""
    reached = [step["color"] for step in steps if step["value"] is None or value >= step["value"]]
    return {"green": "#2e8b57", "yellow": "#c98a00", "red": "#c23b3b"}[reached[-1]]


class Picture:
    def __init__(self, prometheus, seconds, window):
        self.prometheus, self.seconds, self.window = prometheus, seconds, window
        self.end = time.time()

    def query(self, target):
        return target["expr"].replace("$__rate_interval", self.window).replace("$instance", ".*")

    def stat(self, panel, x, y, width, height):
        found = [one for target in panel["targets"]
                 for one in ask(self.prometheus, "query", query=self.query(target), time=self.end)]
        if not found:
            return [text(x + width / 2, y + height / 2 + 12, "no data", 16, "#999", "middle")]
        defaults = panel["fieldConfig"]["defaults"]
        value = float(found[0]["value"][1])
        words, colour = shown(value, defaults["unit"]), colour_of(value, defaults["thresholds"]["steps"])
        if "version" in found[0]["metric"]:
            words = f'{found[0]["metric"]["version"]} × {value:.0f}'
        return [text(x + width / 2, y + height / 2 + 18, words, 26, colour, "middle", "bold")]

    def series(self, target):
        step = max(1, self.seconds // 180)
        for one in ask(self.prometheus, "query_range", query=self.query(target),
                       start=self.end - self.seconds, end=self.end, step=step):
            label = lambda match: one["metric"].get(match[1], "")
            points = [(float(at), float(value)) for at, value in one["values"] if value not in ("NaN", "+Inf")]
            if points:
                yield re.sub(r"{{(\w+)}}", label, target["legendFormat"]).strip() or "value", points, step

    def graph(self, panel, x, y, width, height):
        lines = [line for target in panel["targets"] for line in self.series(target)]
        if not lines:
            return [text(x + width / 2, y + height / 2, "no data", 16, "#999", "middle")]
        lines.sort(key=lambda line: -max(value for _, value in line[1]))
        unit = panel["fieldConfig"]["defaults"]["unit"]
        top = scale(max(value for _, points, _ in lines for _, value in points), unit)
        left, right, upper, lower = x + 66, x + width - 12, y + 32, y + height - 38
        drawn = []
        for part in range(5):
            at = lower - (lower - upper) * part / 4
            drawn.append(f'<line x1="{left}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}" stroke="#e5e7eb"/>')
            drawn.append(text(left - 6, at + 4, shown(top * part / 4, unit), 10, "#777", "end"))
        for part in range(5):
            seconds = self.seconds * (4 - part) / 4
            at = left + (right - left) * part / 4
            drawn.append(text(at, lower + 13, f"-{seconds:.0f} s" if part < 4 else "now", 10, "#777", "middle"))
        for place, (_, points, step) in enumerate(lines[:len(COLOURS)]):
            way, before = [], None
            for at, value in points:
                across = left + (right - left) * (1 - (self.end - at) / self.seconds)
                up = lower - (lower - upper) * max(0, value) / top
                # A gap in the data is one in the line.
                way.append(f'{"L" if before and at - before < 3 * step else "M"}{across:.1f},{up:.1f}')
                before = at
            drawn.append(f'<path d="{" ".join(way)}" fill="none" stroke="{COLOURS[place]}" stroke-width="1.6"/>')
        across = left
        for place, (name, _, _) in enumerate(lines[:len(COLOURS)]):
            room = 18 + 6.2 * len(name)
            if across + room > right:
                drawn.append(text(across, y + height - 9, "…", 11))
                break
            drawn.append(f'<rect x="{across:.0f}" y="{y + height - 17}" width="10" height="8" fill="{COLOURS[place]}"/>')
            drawn.append(text(across + 13, y + height - 9, name, 11, "#555"))
            across += room
        return drawn

    def of(self, dashboard):
        drawn, bottom = [], 0
        for panel in dashboard["panels"]:
            at = panel["gridPos"]
            x, y = at["x"] * COLUMN + GAP, 40 + at["y"] * ROW + GAP
            width, height = at["w"] * COLUMN - GAP, at["h"] * ROW - GAP
            bottom = max(bottom, y + height)
            drawn.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="4" fill="#fff" stroke="#d1d5db"/>')
            drawn.append(text(x + 10, y + 19, panel["title"], 13, "#111", weight="bold"))
            drawn += (self.stat if panel["type"] == "stat" else self.graph)(panel, x, y, width, height)
        width = 24 * COLUMN + GAP
        return "\n".join([
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{bottom + GAP}" '
            f'viewBox="0 0 {width} {bottom + GAP}" font-family="DejaVu Sans, Verdana, sans-serif">',
            f'<rect width="{width}" height="{bottom + GAP}" fill="#f3f4f6"/>',
            text(GAP + 4, 28, dashboard["title"], 18, "#111", weight="bold"), *drawn, "</svg>"]) + "\n"


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("prometheus")
    words.add_argument("dashboard")
    words.add_argument("picture")
    words.add_argument("--seconds", type=int, default=900)
    words.add_argument("--window", default="1m")
    said = words.parse_args()
    with open(said.dashboard) as file:
        dashboard = json.load(file)
    drawn = Picture(said.prometheus.rstrip("/"), said.seconds, said.window).of(dashboard)
    with open(said.picture, "w") as file:
        file.write(drawn)


main()
