"""Writes the figures of README.md from the files in results/: each goal with what was reached, and the plot of growth.py."""

import json
import os

import measure
from run import ALL

README = os.path.join(measure.HERE, "README.md")
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"


def lines_of(name):
    """The lines of one row's table, and its machine; none where it was not run since goals are kept in its file."""
    path = os.path.join(measure.RESULTS, f"{name}.json")
    if not os.path.exists(path):
        return [], None
    with open(path, encoding="utf-8") as file:
        written = json.load(file)
    facts = [fact for fact in written.get("facts", {}).values() if isinstance(fact, dict) and "words" in fact and "goal" in fact]
    cell = lambda words: words.replace("|", "\\|")
    lines = [
        f"| {f'`{name}`' if at == 0 else ''} | {cell(fact['words'])} | {fact['goal']} | {'met' if fact['met'] else '*MISSED*'} |"
        for at, fact in enumerate(facts)
    ]
    return lines, (written.get("machine"), written.get("load"), written.get("versions", {}))


def main():
    table, without, machines, versions = [], [], set(), {}
    # Counts are of one compiler, and growth is a picture.
    for name in (name for name in ALL if name not in ("instructions", "growth")):
        lines, about = lines_of(name)
        table += lines
        if lines:
            machines.add(f"{about[0]}, load {about[1]} at the start")
            versions.update(about[2])
        else:
            without.append(name)
    parts = []
    if table:
        parts += ["| row | reached | goal | |", "| --- | --- | --- | --- |", *table, ""]
        parts += [f"Measured on {'; '.join(sorted(machines))}.", ""]
        parts += [f"Versions: {', '.join(f'{name} {number}' for name, number in sorted(versions.items()))}.", ""]
    if without:
        parts += [f"Not measured since the goals are what they are: {', '.join(without)}.", ""]
    if os.path.exists(os.path.join(measure.RESULTS, "growth.svg")):
        parts += ["![CPU seconds against size, for plan, dispatch and backup](results/growth.svg)", ""]
    with open(README, encoding="utf-8") as file:
        text = file.read()
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    with open(README, "w", encoding="utf-8") as out:
        out.write(head + BEGIN + "\n".join(parts) + ("" if not parts else "\n") + END + tail)
    print(f"written: {os.path.relpath(README)}")


if __name__ == "__main__":
    main()
