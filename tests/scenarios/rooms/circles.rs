//! Files of a crate that know each other, each by way of what it names in the next.

use super::modules::{Modules, Texts, Wanted, imports};
use proc_macro2::{TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use syn::visit::{self, Visit};

/// More files than this cannot be read together.
const LARGEST: usize = 4;

/// Which files a file names something of, each with the path that names it.
type Edges = BTreeMap<String, BTreeMap<String, String>>;

/// Returns what is wrong with the circles of a crate: those between files of several rooms, and too large ones.
pub(super) fn objections(texts: &Texts, root: &str) -> Vec<String> {
    let modules = Modules::read(texts, root);
    let edges = edges(&modules);
    let mut wrong = Vec::new();
    for circle in circles(&edges) {
        let rooms: BTreeSet<&str> = circle.iter().map(|file| room(&modules, file)).collect();
        if rooms.len() == 1 && circle.len() <= LARGEST {
            continue;
        }
        let why = if rooms.len() > 1 { "several rooms" } else { "too many files" };
        let files: Vec<&str> = circle.iter().map(String::as_str).collect();
        wrong.push(format!("a circle of {why}: {}", files.join(", ")));
        for file in &circle {
            for (other, path) in edges[file].iter().filter(|(other, _)| circle.contains(*other)) {
                wrong.push(format!("    {file} names {path} of {other}"));
            }
        }
    }
    wrong
}

/// Returns the room of a file: its directory, or the one that it heads.
fn room<'f>(modules: &Modules, file: &'f str) -> &'f str {
    let headed = file.strip_suffix(".rs").unwrap_or(file);
    let is_below = |other: &str| other.strip_prefix(headed).is_some_and(|rest| rest.starts_with('/'));
    let is_head = modules.iter().any(|(_, module)| is_below(&module.file));
    if is_head { headed } else { file.rsplit_once('/').map_or("", |(directory, _)| directory) }
}

fn edges(modules: &Modules) -> Edges {
    let mut edges = Edges::new();
    for (module, content) in modules.iter() {
        let mut named = Named::default();
        content.contents.iter().for_each(|item| named.visit_item(item));
        for (path, wanted) in named.paths {
            if let Some(other) = modules.file_of(module, &path, wanted).filter(|other| *other != content.file)
            {
                let of = edges.entry(content.file.clone()).or_default();
                of.entry(other.to_owned()).or_insert_with(|| path.join("::"));
            }
        }
    }
    edges
}

/// All paths that are named in a module. What a `use` brings in may be a module: then what is named through it counts.
#[derive(Default)]
struct Named {
    paths: Vec<(Vec<String>, Wanted)>,
}

impl<'ast> Visit<'ast> for Named {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.paths.extend(imports(&item.tree).into_iter().map(|import| (import.path, Wanted::Module)));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.add(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        self.visit_path(&called.path);
        self.tokens(called.tokens.clone());
    }
}

impl Named {
    fn add(&mut self, path: Vec<String>) {
        if !path.is_empty() {
            self.paths.push((path, Wanted::Item));
        }
    }

    /// Takes every `a::b` out of the words of a macro, which are no syntax yet.
    fn tokens(&mut self, tokens: TokenStream) {
        let (mut path, mut colons): (Vec<String>, usize) = (Vec::new(), 0);
        for token in tokens {
            match token {
                TokenTree::Punct(mark) if mark.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                TokenTree::Ident(word) => {
                    if colons != 2 {
                        self.add(std::mem::take(&mut path));
                    }
                    path.push(word.to_string());
                }
                TokenTree::Group(group) => {
                    self.add(std::mem::take(&mut path));
                    self.tokens(group.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => self.add(std::mem::take(&mut path)),
            }
            colons = 0;
        }
        self.add(path);
    }
}

/// Returns the files that lead to each other, for each set of them.
fn circles(edges: &Edges) -> BTreeSet<BTreeSet<String>> {
    let reached: BTreeMap<&String, BTreeSet<&String>> =
        edges.keys().map(|file| (file, reached_from(edges, file))).collect();
    let circle = |file: &&String| -> BTreeSet<String> {
        let back =
            reached[*file].iter().filter(|other| reached.get(**other).is_some_and(|all| all.contains(*file)));
        back.map(|other| (*other).clone()).collect()
    };
    reached.keys().map(circle).filter(|circle| !circle.is_empty()).collect()
}

fn reached_from<'e>(edges: &'e Edges, file: &str) -> BTreeSet<&'e String> {
    let mut reached = BTreeSet::new();
    let mut next = VecDeque::from([file]);
    while let Some(file) = next.pop_front() {
        for other in edges.get(file).into_iter().flat_map(BTreeMap::keys) {
            if reached.insert(other) {
                next.push_back(other);
            }
        }
    }
    reached
}
