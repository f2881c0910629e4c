"""Draws curves on logarithmic axes, side by side, as SVG. Knows nothing of what they are."""

import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 320, 260
LEFT, TOP, RIGHT, BOTTOM = 62, 46, 32, 76
COLOURS = ("#1f5fa8", "#888888", "#c4621a", "#4a8f3c")


def decades(values):
    """The powers of ten around all values: the first and the last exponent."""
    first, last = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return first, max(last, first + 1)


def text(x, y, words, extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}"{extra}>{escape(words)}</text>'


def panel(title, curves, left):
    """One panel: its frame, its axes, and a line with dots for each curve, with its name below."""
    xs = decades([size for curve in curves.values() for size, _ in curve])
    ys = decades([cost for curve in curves.values() for _, cost in curve])
    x0, x1, y0, y1 = left + LEFT, left + WIDTH - RIGHT, HEIGHT - BOTTOM, TOP
    place = lambda value, around, begin, end: begin + (math.log10(value) - around[0]) / (around[1] - around[0]) * (end - begin)
    parts = [text((x0 + x1) / 2, TOP - 8, title, ' text-anchor="middle" font-weight="bold"')]
    for exponent in range(xs[0], xs[1] + 1):
        x = place(10**exponent, xs, x0, x1)
        parts.append(f'<line x1="{x:.1f}" y1="{y0}" x2="{x:.1f}" y2="{y1}" stroke="#dddddd"/>')
        parts.append(text(x, y0 + 14, f"{10**exponent:,}", ' text-anchor="middle"'))
    for exponent in range(ys[0], ys[1] + 1):
        y = place(10.0**exponent, ys, y0, y1)
        parts.append(f'<line x1="{x0}" y1="{y:.1f}" x2="{x1}" y2="{y:.1f}" stroke="#dddddd"/>')
        parts.append(text(x0 - 4, y + 4, f"{10.0**exponent:g} s", ' text-anchor="end"'))
    for at, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[at % len(COLOURS)]
        dots = [(place(size, xs, x0, x1), place(cost, ys, y0, y1)) for size, cost in curve]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in dots)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.extend(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in dots)
        below = y0 + 32 + 14 * at
        parts.append(f'<rect x="{x0}" y="{below - 9}" width="12" height="10" fill="{colour}"/>')
        parts.append(text(x0 + 18, below, name))
    return parts


def drawing(title, panels):
    """The whole picture: `panels` are pairs of a title and curves, by name, of (size, cost)."""
    width = WIDTH * max(len(panels), 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{HEIGHT}" fill="white"/>',
        text(width / 2, 18, title, ' text-anchor="middle" font-size="14"'),
    ]
    for at, (name, curves) in enumerate(panels):
        parts += panel(name, curves, at * WIDTH)
    return "\n".join([*parts, "</svg>"]) + "\n"
