//! The rooms of the house: source files that know each other are in one room and few, types keep to a size, and a name
//! means one thing.
//!
//! A file's room is its directory; `x.rs` belongs to `x/`. What counts is what a file names, in `use` and in paths. What
//! another file passes on by `pub use` leads to the file that defines it. Tests are not counted.

mod circles;
mod modules;
mod types;

use bed::binaries::workspace;
use modules::{Modules, Texts};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use types::Size;

/// The most fields and methods of a type; larger ones stand in ARCHITECTURE.md.
const FIELDS: usize = 12;
const METHODS: usize = 25;

/// Of so many types at most one shares its name with another.
const ONE_OF: usize = 5;

/// A crate whose root is one of its files.
struct Crate {
    sources: PathBuf,
    root: &'static str,
    texts: Texts,
}

#[test]
fn files_that_know_each_other_are_in_one_room_and_few() {
    let mut wrong = Vec::new();
    for Crate { sources, root, texts } in crates() {
        let objections = circles::objections(&texts, root);
        wrong.extend(objections.into_iter().map(|objection| format!("{}: {objection}", shown(&sources))));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn types_keep_to_a_size_or_stand_in_the_list_with_a_reason() {
    let map = std::fs::read_to_string(workspace().join("ARCHITECTURE.md")).unwrap();
    let mut listed = listed(&map);
    let mut wrong = Vec::new();
    for Crate { sources, root, texts } in crates() {
        for size in types::sizes(&Modules::read(&texts, root)) {
            let key = (shown(&sources.join(&size.file)), size.name.clone());
            wrong.extend(
                objections(&size, listed.remove(&key)).map(|why| format!("{} {}: {why}", key.0, key.1)),
            );
        }
    }
    wrong.extend(listed.keys().map(|(file, name)| format!("{file} {name}: is listed and not there")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns the rows of the table of large types: by file and name, how many fields and methods they may have.
fn listed(map: &str) -> BTreeMap<(String, String), (usize, usize)> {
    let section = map.split("\n## ").find(|section| section.starts_with("Large types")).unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [file, name, size, why] = cells[..] else { panic!("not four cells: {row}") };
        assert!(!why.is_empty(), "no reason: {row}");
        let (count, what) = size.split_once(' ').unwrap();
        let count: usize = count.parse().unwrap();
        let most = match what {
            "fields" => (count, METHODS),
            "methods" => (FIELDS, count),
            what => panic!("{what}: {row}"),
        };
        ((file.trim_matches('`').into(), name.trim_matches('`').into()), most)
    })
    .collect()
}

/// Returns what is wrong with the size of a type, which may have so many fields and methods where it is listed.
fn objections(size: &Size, listed: Option<(usize, usize)>) -> impl Iterator<Item = String> {
    let (fields, methods) = listed.unwrap_or((FIELDS, METHODS));
    let is_large = size.fields > FIELDS || size.methods > METHODS;
    let too_many = |has: usize, most: usize, what: &str| {
        (has > most && !size.is_flags).then(|| format!("{has} {what}; {most} are the most"))
    };
    let idle = (listed.is_some() && !is_large).then(|| "is listed and not large".to_owned());
    [too_many(size.fields, fields, "fields"), too_many(size.methods, methods, "methods"), idle]
        .into_iter()
        .flatten()
}

#[test]
fn most_types_share_their_name_with_no_other() {
    let mut places: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for Crate { sources, root, texts } in crates() {
        for Size { file, name, .. } in types::sizes(&Modules::read(&texts, root)) {
            places.entry(name).or_default().insert(shown(&sources.join(file)));
        }
    }
    let all: usize = places.values().map(BTreeSet::len).sum();
    places.retain(|_, places| places.len() > 1);
    let shared: usize = places.values().map(BTreeSet::len).sum();
    assert!(all > 0 && shared * ONE_OF <= all, "{shared} of {all}: {places:#?}");
}

/// Each way to name what another file defines, and what looks like one.
#[test]
fn a_circle_between_rooms_is_seen_whatever_names_the_other_file() {
    let files = |inner: &str| {
        Texts::from([
            ("lib.rs".into(), "mod a; mod b; mod c; pub use b::{B, make}; pub use c::C;".into()),
            ("a.rs".into(), "mod inner; pub use inner::Inner; pub struct Head;".into()),
            ("a/inner.rs".into(), format!("{inner} pub struct Inner;")),
            ("b.rs".into(), "use crate::a::Inner; pub struct B(Inner); pub fn make() {}".into()),
            ("c.rs".into(), "pub struct C;".into()),
        ])
    };
    for inner in [
        "use crate::b::B;",
        "use super::super::b::B as Other;",
        "use crate::{C, b::{self, B}};",
        "use crate::B;",
        "use crate::b::*; struct Mine(B);",
        "use crate::b; struct Mine(b::B);",
        "use crate::b as other; struct Mine(Vec<other::B>);",
        "struct Mine { b: Option<crate::b::B> }",
        "fn say() -> String { format!(\"{:?}\", [crate::b::make()]) }",
        "fn made() { if true { crate::make() } }",
        "impl From<crate::b::B> for Inner {}",
        "mod deep { pub(in crate::a) fn made() { super::super::super::b::make() } }",
    ] {
        let objections = circles::objections(&files(inner), "lib.rs");
        assert_eq!(
            objections.first().map(String::as_str),
            Some("a circle of several rooms: a/inner.rs, b.rs"),
            "{inner}"
        );
    }
    for inner in [
        "",
        "use crate::c::C; struct Mine(crate::C);",
        "use super::Head;",
        "use std::b::B; fn say() { other::b::make() }",
        "#[cfg(test)] mod tests { use crate::b::B; }",
        "#[cfg(test)] use crate::b::B;",
        "fn say() -> &'static str { \"crate::b::B\" } // crate::b::B",
    ] {
        assert_eq!(circles::objections(&files(inner), "lib.rs"), [""; 0], "{inner}");
    }
}

#[test]
fn a_circle_in_one_room_is_of_few_files() {
    for (count, is_allowed) in [(2, true), (4, true), (5, false)] {
        let heads: String = (0..count).map(|number| format!("mod f{number};")).collect();
        let file = |number: usize| {
            let next = (number + 1) % count;
            (format!("f{number}.rs"), format!("pub fn go() {{ crate::f{next}::go() }}"))
        };
        let texts: Texts = (0..count).map(file).chain([("lib.rs".into(), heads)]).collect();
        let objections = circles::objections(&texts, "lib.rs");
        assert_eq!(objections.is_empty(), is_allowed, "{count}: {objections:?}");
        assert_eq!(
            objections.first().is_some_and(|why| why.starts_with("a circle of too many files")),
            !is_allowed
        );
    }
}

#[test]
fn a_type_is_as_large_as_all_that_is_written_of_it() {
    let texts = Texts::from([
        ("lib.rs".into(), "mod part; pub struct Whole { a: u8, b: u8 } impl Whole { fn new() -> Self {} fn a(&self) {} }".into()),
        (
            "part.rs".into(),
            "use super::Whole; impl<'w> Whole { fn b(self) {} #[cfg(test)] fn c(&self) {} } \
             impl Clone for Whole { fn clone(&self) -> Self {} } #[derive(Debug, clap::Args)] pub struct Flags; \
             pub enum Either { One(u8), Three { a: u8, b: u8, c: u8 } }"
                .into(),
        ),
    ]);
    let sizes = types::sizes(&Modules::read(&texts, "lib.rs"));
    let sizes: Vec<_> =
        sizes.iter().map(|size| (&*size.name, size.fields, size.methods, size.is_flags)).collect();
    assert_eq!(sizes, [("Whole", 2, 2, false), ("Either", 3, 0, false), ("Flags", 0, 0, true)]);
    let rows = "# Map\n\n## Large types\n\n| file | type | most | why |\n| `a.rs` | `A` | 30 methods | so |\n| `b.rs` | `B` | 13 fields | so |\n\n## Rest";
    let listed = listed(rows);
    let most = |file: &str, name: &str| listed[&(file.to_owned(), name.to_owned())];
    assert_eq!((most("a.rs", "A"), most("b.rs", "B")), ((12, 30), (13, 25)));
    let size = |fields, methods| Size { fields, methods, ..Size::default() };
    for (size, listed, wrong) in [
        (size(12, 25), None, 0),
        (size(13, 26), None, 2),
        (Size { is_flags: true, ..size(30, 0) }, None, 0),
        (size(12, 30), Some((12, 30)), 0),
        (size(12, 31), Some((12, 30)), 1),
        (size(12, 25), Some((12, 30)), 1),
    ] {
        assert_eq!(objections(&size, listed).count(), wrong, "{size:?} {listed:?}");
    }
}

/// Reads the crates of the workspace, programs and their libraries apart.
fn crates() -> Vec<Crate> {
    let mut crates = Vec::new();
    for folder in [workspace().to_owned(), workspace().join("crates")] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let sources = entry.unwrap().path().join("src");
            let texts = texts(&sources);
            for root in ["lib.rs", "main.rs"].into_iter().filter(|root| texts.contains_key(*root)) {
                crates.push(Crate { sources: sources.clone(), root, texts: texts.clone() });
            }
        }
    }
    assert!(crates.len() > 10, "{}", crates.len());
    crates
}

fn texts(sources: &Path) -> Texts {
    let mut texts = Texts::new();
    let mut folders = vec![sources.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(sources).unwrap().to_str().unwrap().to_owned();
                texts.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    texts
}

fn shown(path: &Path) -> String {
    path.strip_prefix(workspace()).unwrap_or(path).display().to_string()
}
