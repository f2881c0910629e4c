//! Worst cases: twice the text may cost twice the work and the memory, never four times. What is counted is instructions
//! and bytes, by valgrind, never time.

use bed::{Bed, Need, real};
use std::fmt::Write;
use std::time::Duration;

/// Twice, and what a logarithm and a growing table add; a square alone is four.
const MOST: f64 = 2.3;

/// Counts the instructions of runs of a program, without those that any run takes.
struct Counter {
    bed: Bed,
    program: &'static str,
    base: f64,
}

impl Counter {
    fn of(program: &'static str) -> Self {
        let bed = Bed::new();
        // Without what a debugger reads: valgrind would read it all before each run.
        let strip = bed.external(real::find("strip").unwrap()).arg("-o").arg(bed.path(program));
        strip.arg(bed.path("bin").join(program)).run();
        let counter = Self { bed, program, base: 0.0 };
        Self { base: counter.count(&["--version"], 0), ..counter }
    }

    fn count(&self, args: &[&str], status: i32) -> f64 {
        let tool = ["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"];
        self.told(&tool, "refs:", args, status) - self.base
    }

    /// Returns the most bytes that a run has at one time.
    fn peak(&self, args: &[&str], status: i32) -> f64 {
        self.told(&["--tool=dhat", "--dhat-out-file=/dev/null"], "At t-gmax:", args, status)
    }

    /// Returns the number that a tool of valgrind tells behind a word.
    fn told(&self, tool: &[&str], word: &str, args: &[&str], status: i32) -> f64 {
        let ended = self
            .bed
            .external(real::find("valgrind").unwrap())
            .args(tool)
            .arg(self.bed.path(self.program))
            .args(args)
            .patience(Duration::from_secs(600))
            .status(status)
            .any_stdout()
            .any_stderr()
            .run();
        let line = ended.stderr.lines().find_map(|line| line.split_once(word)).unwrap().1;
        line.split_whitespace().next().unwrap().replace(',', "").parse::<f64>().unwrap()
    }
}

type Make = fn(usize) -> String;

/// One shape of input: `make` writes it in a size, and seqfile ends with `status` on it.
struct Shape {
    name: &'static str,
    args: &'static [&'static str],
    status: i32,
    size: usize,
    make: Make,
}

fn check(shapes: &[Shape]) {
    check_of("seqfile", |_, _| {}, shapes);
}

/// `prepare` writes what is read beside the input.
fn check_of(program: &'static str, prepare: impl Fn(&Bed, usize), shapes: &[Shape]) {
    if !real::require(&[Need::Program("valgrind"), Need::Program("strip")]) {
        return;
    }
    let counter = Counter::of(program);
    let mut wrong = String::new();
    for Shape { name, args, status, size, make } in shapes {
        let count = |size: usize| {
            prepare(&counter.bed, size);
            counter.bed.write("input", make(size));
            counter.count(args, *status)
        };
        let (one, two) = (count(*size), count(2 * size));
        let ratio = two / one;
        if ratio > MOST {
            writeln!(wrong, "{name}: {one:.0} instructions, and {ratio:.1} times as many for twice as much")
                .unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn join(size: usize, between: &str, one: impl Fn(usize) -> String) -> String {
    (0..size).map(one).collect::<Vec<_>>().join(between)
}

fn ring(size: usize) -> String {
    join(size, "\n", |at| format!("g{at}: n{at}\ng{at} > g{}", (at + 1) % size))
}

const CHECK: &[&str] = &["--check", "input"];

#[test]
fn a_sequence_file_of_twice_the_size_takes_twice_the_work() {
    let row = |name, status, size, make| Shape { name, args: CHECK, status, size, make };
    check(&[
        row("one cycle of groups", 3, 500, ring),
        row("one cycle stated in one line", 3, 500, |size| {
            format!(
                "{}\n{} > g0\n",
                join(size, "\n", |at| format!("g{at}: n{at}")),
                join(size, " > ", |at| format!("g{at}"))
            )
        }),
        row("a cycle through shared nodes", 3, 300, |size| {
            join(size, "\n", |at| format!("a{at}: n{at}\nb{at}: n{}\na{at} > b{at}", (at + 1) % size))
        }),
        row("many cycles", 3, 300, |size| {
            join(size, "\n", |at| format!("a{at}: n{at}\nb{at}: m{at}\na{at} > b{at}\nb{at} > a{at}"))
        }),
        row("a tangle of long loops", 3, 400, |size| {
            let next = |at: usize, step: usize| (at / 2 + step) * 2 % size;
            join(size, "\n", |at| format!("g{at}: n{at}\ng{at} > g{}, g{}", next(at, 1), next(at, 1) + 1))
        }),
        row("a chain of groups", 0, 500, |size| {
            format!(
                "{}\n{}\n",
                join(size, "\n", |at| format!("g{at}: n{at}")),
                join(size, " > ", |at| format!("g{at}"))
            )
        }),
        row("one group with commas", 0, 1000, |size| {
            format!("g: {}\n", join(size, ",", |at| format!("n{at}")))
        }),
        row("one group with differences", 0, 1000, |size| {
            format!("g: {}\n", join(size, "!", |at| format!("n{at}")))
        }),
        row("one group of many ranges", 0, 500, |size| {
            format!("g: n[{}]\n", join(size, ",", |at| format!("{}-{}", 3 * at, 3 * at + 1)))
        }),
        row("one group line by line", 0, 1500, |size| join(size, "\n", |at| format!("g: n{at}"))),
        row("one member in many groups", 0, 500, |size| join(size, "\n", |at| format!("g{at}: n1"))),
        row("undefined groups", 3, 500, |size| join(size, "\n", |at| format!("g{at} > h{at}"))),
        row("joined lines", 0, 500, |size| format!("g: {}\n", join(size, "\\\n", |at| format!(" n{at}")))),
        row("brackets that are not closed", 3, 1000, |size| format!("g: {}\n", "[1,".repeat(size))),
        row("backslashes", 3, 1000, |size| format!("g: {}x\n", "\\ ".repeat(size))),
        row("many thresholds of a large group", 0, 500, |size| {
            let members = join(size, " ", |at| format!("n{at}"));
            let orders = join(size, "\n", |at| format!("h{at}: m{at}\ng({}) > h{at}", at % 16 + 1));
            format!("g: {members}\n{orders}\n")
        }),
        row("too many thresholds of a large group", 3, 500, |size| {
            let members = join(size, " ", |at| format!("n{at}"));
            let orders = join(size, "\n", |at| format!("h{at}: m{at}\ng({}) > h{at}", at + 1));
            format!("g: {members}\n{orders}\n")
        }),
        row("parentheses", 3, 1000, |size| format!("g: {}\n", "(n".repeat(size))),
        row("two long names that are alike", 3, 1000, |size| {
            format!("{}a: n1\n{}b > {}a\n", "g".repeat(size), "g".repeat(size), "g".repeat(size))
        }),
    ]);
}

#[test]
fn what_is_written_of_twice_the_size_takes_twice_the_work() {
    let row = |name, args, size, make| Shape { name, args, status: 0, size, make };
    let chain = |size| {
        format!(
            "{}\n{}\n",
            join(size, "\n", |at| format!("g{at}: n{at} m")),
            join(size, "\n", |at| format!("h: g{at}"))
        )
    };
    check(&[
        row("reversed", &["--reverse", "input"], 500, chain),
        row("reversed as JSON", &["--reverse", "input", "--json"], 300, chain),
        row("reversed as JSON with commas", &["--reverse", "input", "--json"], 1000, |size| {
            format!("g: {}\n", join(size, ",", |at| format!("n{at}")))
        }),
        row("as a graph", &["--reverse", "input", "--dot"], 300, chain),
        row("as a table", &["--reverse", "input", "--waves"], 300, chain),
        row("folded names of many numbers", &["--reverse", "input", "--waves"], 2000, |size| {
            format!("g: {} {}\n", "1a".repeat(size), "2a".repeat(size))
        }),
        row("from JSON", &["--from-json", "input"], 300, |size| {
            let groups = join(size, ",", |at| format!("{{\"name\":\"g{at}\",\"members\":[\"n{at}\"]}}"));
            let edges =
                join(size - 1, ",", |at| format!("{{\"before\":\"g{at}\",\"after\":\"g{}\"}}", at + 1));
            format!("{{\"format\":\"orderly-sequence/1\",\"groups\":[{groups}],\"edges\":[{edges}]}}")
        }),
    ]);
}

/// Each group of a chain has a host, which has the variables of all groups before.
fn ansible_chain(size: usize) -> String {
    let group = |at: usize| {
        format!("\"g{at}\":{{\"hosts\":[\"n{at}\"],\"children\":[\"g{}\"],\"vars\":{{\"v{at}\":1}}}}", at + 1)
    };
    format!("{{{}}}", join(size, ",", group))
}

/// Each host has a group of its own, all of which are below all others.
fn ansible_above(size: usize) -> String {
    let below = join(size, ",", |at| format!("\"h{at}\""));
    let own = join(size, ",", |at| format!("\"h{at}\":[\"n{at}\"]"));
    let above =
        join(size, ",", |at| format!("\"g{at}\":{{\"children\":[\"base\"],\"vars\":{{\"v{at}\":1}}}}"));
    format!("{{\"base\":{{\"children\":[{below}]}},{own},{above}}}")
}

fn json(nodes: &str) -> String {
    format!("{{\"format\":\"orderly-inventory/1\",\"nodes\":[{nodes}]}}")
}

#[test]
fn an_inventory_of_twice_the_size_takes_twice_the_work() {
    let row = |name, format, status, size, make: Make| Shape {
        name,
        args: match format {
            "json" => &["-i", "input", "--from", "json"],
            "genders" => &["-i", "input", "--from", "genders"],
            "ansible" => &["-i", "input", "--from", "ansible"],
            "warewulf" => &["-i", "input", "--from", "warewulf"],
            _ => &["-i", "input", "--from", "xcat"],
        },
        status,
        size,
        make,
    };
    check(&[
        row("json: nodes", "json", 0, 200, |size| {
            json(&join(size, ",", |at| format!("{{\"name\":\"n{at}\",\"number\":{}}}", at + 1)))
        }),
        row("json: attributes of one node", "json", 0, 1500, |size| {
            json(&format!("{{\"name\":\"n\",{}}}", join(size, ",", |at| format!("\"a{at}\":1"))))
        }),
        row("json: one circle of servers", "json", 3, 300, |size| {
            json(&join(size, ",\n", |at| {
                format!("{{\"name\":\"n{at}\",\"boot_server\":\"n{}\"}}", (at + 1) % size)
            }))
        }),
        row("json: a chain of servers", "json", 0, 300, |size| {
            let clients =
                join(size, ",", |at| format!("{{\"name\":\"n{}\",\"boot_server\":\"n{at}\"}}", at + 1));
            json(&format!("{{\"name\":\"n0\"}},{clients}"))
        }),
        row("json: unknown keys", "json", 3, 1500, |size| {
            format!(
                "{{\"format\":\"orderly-inventory/1\",\"nodes\":[],{}}}",
                join(size, ",", |at| format!("\"k{at}\":1"))
            )
        }),
        row("json: groups of one node", "json", 0, 1500, |size| {
            json(&format!("{{\"name\":\"n\",\"groups\":[{}]}}", join(size, ",", |at| format!("\"g{at}\""))))
        }),
        row("json: servers of one node", "json", 0, 800, |size| {
            json(&format!(
                "{},{{\"name\":\"n\",\"boot_server\":[{}]}}",
                join(size, ",", |at| format!("{{\"name\":\"s{at}\"}}")),
                join(size, ",", |at| format!("\"s{at}\""))
            ))
        }),
        row("json: nested values", "json", 0, 40, |size| {
            json(&format!("{{\"name\":\"n\",\"a\":{}{}}}", "[".repeat(size), "]".repeat(size)))
        }),
        row("genders: attributes of one node", "genders", 0, 1500, |size| {
            format!("n {}\n", join(size, ",", |at| format!("a{at}=1")))
        }),
        row("genders: one node line by line", "genders", 0, 1500, |size| {
            join(size, "\n", |at| format!("n a{at}"))
        }),
        row("genders: nodes of one line", "genders", 0, 500, |size| format!("n[1-{size}] a,b=%n\n")),
        row("genders: %n in long values", "genders", 3, 500, |size| {
            format!("n[1-{size}] {}\n", join(size / 100, ",", |at| format!("a{at}={}", "%n".repeat(500))))
        }),
        row("genders: names of one line", "genders", 0, 500, |size| {
            format!("{} a\n", join(size, ",", |at| format!("n{at}")))
        }),
        row("ansible: a chain of groups", "ansible", 0, 300, |size| {
            format!(
                "{{\"g{size}\":[\"n\"],{}}}",
                join(size, ",", |at| format!("\"g{at}\":{{\"children\":[\"g{}\"]}}", at + 1))
            )
        }),
        row("ansible: a chain of groups with hosts", "ansible", 0, 600, ansible_chain),
        row("ansible: groups above all others", "ansible", 0, 400, ansible_above),
        row("ansible: one host in many groups", "ansible", 0, 600, |size| {
            format!(
                "{{{}}}",
                join(size, ",", |at| format!("\"g{at}\":{{\"hosts\":[\"n\"],\"vars\":{{\"v\":{at}}}}}"))
            )
        }),
        row("ansible: groups in a circle", "ansible", 3, 600, |size| {
            let group = |at: usize| {
                format!("\"g{at}\":{{\"hosts\":[\"n{at}\"],\"children\":[\"g{}\"]}}", (at + 1) % size)
            };
            format!("{{{}}}", join(size, ",", group))
        }),
        row("ansible: hosts of one group", "ansible", 0, 300, |size| {
            format!("{{\"g\":[{}]}}", join(size, ",", |at| format!("\"n{at}\"")))
        }),
        row("ansible: variables of one host", "ansible", 0, 300, |size| {
            format!(
                "{{\"_meta\":{{\"hostvars\":{{\"n\":{{{}}}}}}},\"g\":[\"n\"]}}",
                join(size, ",", |at| format!("\"a{at}\":1"))
            )
        }),
        row("warewulf: nodes", "warewulf", 0, 200, |size| {
            format!("{{{}}}", join(size, ",", |at| format!("\"n{at}\":{{\"profiles\":[\"p\"]}}")))
        }),
        row("warewulf: networks of one node", "warewulf", 0, 1500, |size| {
            format!(
                "{{\"n\":{{\"network devices\":{{{}}}}}}}",
                join(size, ",", |at| format!("\"e{at}\":{{\"ipaddr\":\"1\"}}"))
            )
        }),
        row("warewulf: tags of one node", "warewulf", 0, 1500, |size| {
            format!("{{\"n\":{{\"tags\":{{{}}}}}}}", join(size, ",", |at| format!("\"t{at}\":\"1\"")))
        }),
        row("xcat: nodes", "xcat", 0, 200, |size| join(size, "\n", |at| format!("n{at}:\n  objtype=node"))),
        row("xcat: interfaces of one node", "xcat", 0, 1500, |size| {
            format!(
                "n:\n{}",
                join(size, "\n", |at| format!("  nicips.e{at}=10.0.0.1\n  nichostnamesuffixes.e{at}=-e{at}"))
            )
        }),
        row("xcat: interfaces in one line", "xcat", 0, 2000, |size| {
            format!("n:\n  nicips={}\n", join(size, ",", |at| format!("e{at}!10.0.0.1")))
        }),
        row("xcat: attributes of one node", "xcat", 0, 1500, |size| {
            format!("n:\n{}", join(size, "\n", |at| format!("  a{at}=1")))
        }),
    ]);
}

/// Each table of overrides was searched for among all of them, and each that is for nothing was compared with all nodes.
#[test]
fn a_configuration_of_twice_the_size_takes_twice_the_work() {
    let row = |name, args, make| Shape { name, args, status: 3, size: 2000, make };
    let args = &["--config", "input", "-k", "ALL"];
    check_of(
        "cstartup",
        |_, _| {},
        &[
            row("unknown keys of overrides", args, |size| {
                join(size, "\n", |at| format!("[override.group.g{at}]\na = 1"))
            }),
            row("unknown keys", args, |size| join(size, "\n", |at| format!("a{at} = 1"))),
            row("words of a command", args, |size| {
                format!("x.on = [{}]", join(size, ",", |at| format!("\"w{at}\"")))
            }),
        ],
    );
    let args = &["--config", "input", "-k", "ALL", "-i", "nodes", "--from", "genders"];
    check_of(
        "cstartup",
        |bed, size| drop(bed.write("nodes", join(size, "\n", |at| format!("n{at} g{at}")))),
        &[
            row("overrides of nodes that are not there", args, |size| overrides("node.m", size)),
            row("overrides of groups that are not there", args, |size| overrides("group.h", size)),
        ],
    );
}

fn overrides(of: &str, size: usize) -> String {
    let tables = join(size, "\n", |at| format!("[override.{of}{at}]\nshell.driver = \"none\""));
    format!("power.driver = \"simulator\"\nprobe.driver = \"simulator\"\n{tables}\n")
}

/// A text that means more than there may be, and one of its length that means little.
struct Pair {
    name: &'static str,
    args: &'static [&'static str],
    too_much: String,
    little: String,
}

/// All names were made first: 60 short lines of a sequence file took 936 MB, and a chain of 8,000 groups of Ansible ten
/// seconds, until they were rejected.
#[test]
fn what_means_too_much_is_rejected_for_the_work_of_reading_it() {
    if !real::require(&[Need::Program("valgrind"), Need::Program("strip")]) {
        return;
    }
    let chain = |size: usize, child: fn(usize) -> String| {
        let group =
            |at: usize| format!("\"g{at}\":{{\"hosts\":[\"n{at}\"],{},\"vars\":{{\"v\":1}}}}", child(at));
        format!("{{{}}}", join(size, ",\n", group))
    };
    let ranges = |numbers: usize| {
        let range = |at: usize| format!("{}-{}", at * 16_000 + 1, at * 16_000 + numbers);
        let set = join(60, ",", range);
        join(40, "\n", |at| format!("n[{set}] a{at}"))
    };
    let counter = Counter::of("seqfile");
    for Pair { name, args, too_much, little } in [
        Pair {
            name: "ansible: a chain of groups with hosts and variables",
            args: &["-i", "input", "--from", "ansible"],
            too_much: chain(3000, |at| format!("\"children\":[\"g{}\"]", at + 1)),
            little: chain(3000, |at| format!("\"childrem\":[\"g{}\"]", at + 1)),
        },
        Pair {
            name: "genders: long ranges",
            args: &["-i", "input", "--from", "genders"],
            too_much: ranges(16_000),
            little: ranges(1),
        },
        Pair {
            name: "genders: %n in long values",
            args: &["-i", "input", "--from", "genders"],
            too_much: format!("n[1-9] a={}\n", "%n".repeat(20_000)),
            little: format!("n[1-9] a={}\n", "n%%n".repeat(10_000)),
        },
        Pair {
            name: "sequence: one long range",
            args: CHECK,
            too_much: format!("g: n[1-3999999]\n{}", join(500, "\n", |at| format!("h{at}: m"))),
            little: format!("g: n[1-3]\n{}", join(500, "\n", |at| format!("h{at}: m"))),
        },
        Pair {
            name: "sequence: long ranges",
            args: CHECK,
            too_much: join(1000, "\n", |at| format!("g{at}: n[1-3999999]")),
            little: join(1000, "\n", |at| format!("g{at}: n[1-3]    ")),
        },
    ] {
        let count = |text: &str, status: i32| {
            counter.bed.write("input", text);
            counter.count(args, status)
        };
        let (much, all) = (count(&too_much, 3), count(&little, 0));
        assert!(much < 2.0 * all, "{name}: {much:.0} instructions, and {all:.0} where it means little");
    }
}

/// Most for each byte of a text that stands for as many nodes as it has words.
const BYTES: f64 = 100.0;

/// A chain of 2,200 groups of Ansible took 1,100 bytes for each of its own.
#[test]
fn an_inventory_of_twice_the_size_takes_twice_the_memory() {
    if !real::require(&[Need::Program("valgrind"), Need::Program("strip")]) {
        return;
    }
    let counter = Counter::of("seqfile");
    let mut wrong = String::new();
    let shapes: [(&str, &str, usize, Make); 8] = [
        ("a chain of groups with hosts", "ansible", 500, ansible_chain),
        ("groups above all others", "ansible", 400, ansible_above),
        ("hosts of one group", "ansible", 5000, |size| {
            format!("{{\"g\":[{}]}}", join(size, ",", |at| format!("\"n{at}\"")))
        }),
        ("names of one line", "genders", 5000, |size| {
            format!("{} a\n", join(size, ",", |at| format!("n{at}")))
        }),
        ("lines of the same nodes", "genders", 200, |size| {
            join(size, "\n", |at| format!("n[1-{size}] a{at}"))
        }),
        ("one node line by line", "genders", 5000, |size| join(size, "\n", |at| format!("n a{at}"))),
        ("attributes of one node", "genders", 5000, |size| {
            format!("n {}\n", join(size, ",", |at| format!("a{at}=1")))
        }),
        ("nodes", "json", 5000, |size| json(&join(size, ",", |at| format!("{{\"name\":\"n{at}\"}}")))),
    ];
    for (name, format, size, make) in shapes {
        let peak = |size: usize| {
            let text = make(size);
            counter.bed.write("input", &text);
            (counter.peak(&["-i", "input", "--from", format], 0), text.len())
        };
        let ((one, _), (two, length)) = (peak(size), peak(2 * size));
        let each = two / length as f64;
        if two / one > MOST || each > BYTES {
            writeln!(wrong, "{format}: {name}: {:.1} times the memory, {each:.0} bytes a byte", two / one)
                .unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
