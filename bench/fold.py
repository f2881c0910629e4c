"""fold: names are expanded and folded, beside cluset."""

import os
import tempfile

import measure

NAMES = int(os.environ.get("BENCH_NAMES", 100_000))


def main():
    seqfile, cluset = measure.built("seqfile"), measure.found("cluset")
    report = measure.Report("fold", f"{NAMES} names")
    # Every seventh is missing, so that there are ranges to find.
    names = [f"n{number:06}" for number in range(NAMES + NAMES // 6) if number % 7][:NAMES]
    with tempfile.TemporaryDirectory() as folder:
        paths = {kind: os.path.join(folder, kind) for kind in ("json", "folded", "words", "set")}
        member = ", ".join(f'"{name}"' for name in names)
        head = '{"format": "orderly-sequence/1", "groups": [{"name": "g", "members": ['
        pattern = f"n[000001-{NAMES:06}]"
        for kind, text in [
            ("json", f"{head}{member}]}}]}}"),
            ("folded", f'{head}"{pattern}"]}}]}}'),
            ("words", "\n".join(names) + "\n"),
            ("set", pattern + "\n"),
        ]:
            with open(paths[kind], "w", encoding="utf-8") as out:
                out.write(text)
        for work, flags, ours, theirs in [
            ("fold", ["--fold"], "json", ["-f", "words"]),
            ("expand", [], "folded", ["-e", "set"]),
        ]:
            contenders = [("seqfile", [seqfile, "--from-json", paths[ours], *flags], None)]
            if cluset:
                contenders.append(("cluset", [cluset, theirs[0]], paths[theirs[1]]))
            best = measure.beside(contenders, 5)
            report.table(work, best, "seqfile")
            if cluset:
                ratio = best["cluset"][0] / best["seqfile"][0]
                words = f"{work}: {ratio:.0f} times as fast as cluset (40 promised)"
                report.fact(f"{work}_ratio", round(ratio, 1), words, ratio >= 40)
        count = measure.instructions([seqfile, "--from-json", paths["json"], "--fold"])
        if count is not None:
            report.fact("instructions_fold", count, f"{count} instructions to fold")
    report.write()


main()
