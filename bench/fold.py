"""fold: names are expanded and folded, beside cluset, and `sort -V` of the names (the floor).

The answers are checked first: both programs have to print the very same set, and the very same names. BENCH_NAMES sets
another number of names.
"""

import json
import os
import tempfile

import measure

NAMES = int(os.environ.get("BENCH_NAMES", 100_000))


def write(folder, names):
    """Writes the names as each program reads them, folded and not; the paths."""
    # What is expanded has no gaps.
    pattern = f"n[000001-{NAMES:06}]"
    head = '{"format": "orderly-sequence/1", "groups": [{"name": "g", "members": ['
    member = ", ".join(f'"{name}"' for name in names)
    paths = {}
    for kind, text in [
        ("json", f"{head}{member}]}}]}}"),
        ("folded", f'{head}"{pattern}"]}}]}}'),
        ("words", "\n".join(names) + "\n"),
        ("set", pattern + "\n"),
    ]:
        paths[kind] = os.path.join(folder, kind)
        with open(paths[kind], "w", encoding="utf-8") as out:
            out.write(text)
    return paths


def folded(names):
    """The same names in ranges; every seventh number is missing, so no range is longer than six."""
    numbers = [int(name[1:]) for name in names]
    ranges = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(f"{first:06}-{last:06}" if last > first else f"{first:06}" for first, last in ranges)


def members(out):
    """What a sequence file of one group has behind its name, its lines joined."""
    _, _, text = out.replace("\\\n", " ").partition("g:")
    return text.split()


def check(work, name, out, names):
    """Ends the bench unless this is what the names are, folded or expanded."""
    if name == "cluset":
        got = out.split()
    else:
        # Names are expanded where it is told which nodes run when.
        got = members(out) if work == "fold" else json.loads(out)["waves"][0]
    want = [f"n[{folded(names)}]"] if work == "fold" else [f"n{number:06}" for number in range(1, NAMES + 1)]
    if work == "fold":
        # A set may be printed in several parts.
        got = ["n[" + ",".join(part.removeprefix("n").strip("[],") for part in got) + "]"]
    if got != want:
        measure.wrong(f"{work}: {name} prints {' '.join(got)[:80]}... instead of {' '.join(want)[:80]}...")


def main():
    rounds = int(os.environ.get("ROUNDS", "5"))
    seqfile, cluset, sort = measure.built("seqfile"), measure.found("cluset"), measure.found("sort")
    report = measure.Report("fold", f"{NAMES} names")
    names = [f"n{number:06}" for number in range(NAMES + NAMES // 6 + 1) if number % 7][:NAMES]
    with tempfile.TemporaryDirectory() as folder:
        paths = write(folder, names)
        for work, flags, ours, theirs, goal in [
            ("fold", ["--fold"], "json", ["-f", "words"], 60),
            ("expand", ["--json"], "folded", ["-e", "set"], 60),
        ]:
            contenders = [("seqfile", [seqfile, "--from-json", paths[ours], *flags], None)]
            if cluset:
                contenders.append(("cluset", [cluset, theirs[0]], paths[theirs[1]]))
            for name, argv, stdin in contenders:
                check(work, name, measure.output(argv, stdin), names)
            if sort:
                contenders.append(("sort -V", [sort, "-V"], paths["words"]))
            best = measure.beside(contenders, rounds)
            report.table(work, best, "seqfile")
            if cluset:
                ratio = best["cluset"][0] / best["seqfile"][0]
                report.at_least(f"{work}_ratio", ratio, goal, f"{work}: {{:.0f}} times as fast as cluset")
            if sort:
                ratio = best["seqfile"][0] / best["sort -V"][0]
                report.at_most(f"{work}_floor_ratio", ratio, 1, f"{work}: {{:.2f}} times the wall time of sort -V")
    report.write()


if __name__ == "__main__":
    main()
