//! The modules of one crate as its source files declare them, and which file a path in them leads to.

use std::collections::BTreeMap;
use syn::{Attribute, Ident, Item, UseTree};

/// So long a chain of re-exports leads to nothing but itself.
const DEEPEST: usize = 32;

/// The text of each file of a crate, by its path below `src`.
pub(super) type Texts = BTreeMap<String, String>;

/// A crate, read.
#[derive(Default)]
pub(super) struct Modules {
    all: Vec<Module>,
}

#[derive(Default)]
pub(super) struct Module {
    /// The file that holds it.
    pub(super) file: String,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    /// The names of what it defines itself.
    items: Vec<String>,
    pub(super) imports: Vec<Import>,
    /// What stands in it, without modules and tests.
    pub(super) contents: Vec<Item>,
}

/// A name that a `use` brings into a module; `*` for all names of a place.
#[derive(Debug)]
pub(super) struct Import {
    name: String,
    pub(super) path: Vec<String>,
}

/// What a name is taken for where a module and a function have the same.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted {
    Module,
    Item,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Module(usize),
    /// An item of this module.
    Item(usize),
}

impl Modules {
    /// Reads a crate from its root, as `lib.rs`.
    pub(super) fn read(texts: &Texts, root: &str) -> Self {
        let mut modules = Self::default();
        modules.add(texts, root, "", None, parsed(texts, root));
        modules
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Module)> {
        self.all.iter().enumerate()
    }

    /// Adds a module with all in it; the files of its children are in `folder`.
    fn add(
        &mut self,
        texts: &Texts,
        file: &str,
        folder: &str,
        parent: Option<usize>,
        contents: Vec<Item>,
    ) -> usize {
        let own = self.all.len();
        self.all.push(Module { file: file.to_owned(), parent, ..Module::default() });
        for item in contents.into_iter().filter(|item| !is_test(head(item).1)) {
            if let Item::Mod(module) = item {
                let name = module.ident.to_string();
                let below = format!("{folder}{name}/");
                let child = if let Some((_, contents)) = module.content {
                    self.add(texts, file, &below, Some(own), contents)
                } else {
                    let single = format!("{folder}{name}.rs");
                    let file = if texts.contains_key(&single) { single } else { format!("{below}mod.rs") };
                    let contents = parsed(texts, &file);
                    self.add(texts, &file, &below, Some(own), contents)
                };
                self.all[own].children.insert(name, child);
                continue;
            }
            let module = &mut self.all[own];
            if let Item::Use(import) = &item {
                module.imports.extend(imports(&import.tree));
            }
            module.items.extend(head(&item).0.map(ToString::to_string));
            module.contents.push(item);
        }
        own
    }

    /// Returns the file that defines what a path means in a module; nothing where that is in another crate, or a module.
    pub(super) fn file_of(&self, module: usize, path: &[String], wanted: Wanted) -> Option<&str> {
        match self.resolve(module, path, wanted, DEEPEST)? {
            Place::Item(module) => Some(&self.all[module].file),
            Place::Module(_) => None,
        }
    }

    fn resolve(&self, module: usize, path: &[String], wanted: Wanted, depth: usize) -> Option<Place> {
        let depth = depth.checked_sub(1)?;
        let mut place = Place::Module(module);
        for (at, name) in path.iter().enumerate() {
            let Place::Module(within) = place else { break };
            place = match name.as_str() {
                "crate" => Place::Module(0),
                "self" => place,
                "super" => Place::Module(self.all[within].parent?),
                name if at + 1 == path.len() => self.look_up(within, name, wanted, depth)?,
                name => self.look_up(within, name, Wanted::Module, depth)?,
            };
        }
        Some(place)
    }

    fn look_up(&self, within: usize, name: &str, wanted: Wanted, depth: usize) -> Option<Place> {
        let module = &self.all[within];
        let child = || module.children.get(name).map(|&child| Place::Module(child));
        let item = || module.items.iter().any(|item| item == name).then_some(Place::Item(within));
        let import = || {
            let imports = module.imports.iter().filter(|import| import.name == name);
            imports.filter_map(|import| self.resolve(within, &import.path, wanted, depth)).next()
        };
        let glob = || {
            let mut path = module.imports.iter().filter(|import| import.name == "*").map(|import| {
                let mut path = import.path.clone();
                path.push(name.to_owned());
                path
            });
            path.find_map(|path| self.resolve(within, &path, wanted, depth))
        };
        match wanted {
            Wanted::Item => item().or_else(import).or_else(child).or_else(glob),
            Wanted::Module => child().or_else(import).or_else(item).or_else(glob),
        }
    }
}

fn parsed(texts: &Texts, file: &str) -> Vec<Item> {
    let text = texts.get(file).unwrap_or_else(|| panic!("{file} is declared and not there"));
    syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}")).items
}

/// Tells whether something is compiled for tests alone.
pub(super) fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let words = || attribute.meta.require_list().ok().map(|list| list.tokens.to_string());
        attribute.path().is_ident("cfg") && words().is_some_and(|words| words == "test")
    })
}

/// Returns all that a `use` imports.
pub(super) fn imports(tree: &UseTree) -> Vec<Import> {
    let mut found = Vec::new();
    let mut branches = vec![(Vec::new(), tree)];
    while let Some((mut path, tree)) = branches.pop() {
        let (last, name) = match tree {
            UseTree::Path(step) => {
                path.push(step.ident.to_string());
                branches.push((path, &step.tree));
                continue;
            }
            UseTree::Group(group) => {
                branches.extend(group.items.iter().map(|tree| (path.clone(), tree)));
                continue;
            }
            UseTree::Name(leaf) => (leaf.ident.to_string(), leaf.ident.to_string()),
            UseTree::Rename(leaf) => (leaf.ident.to_string(), leaf.rename.to_string()),
            UseTree::Glob(_) => ("self".into(), "*".into()),
        };
        // `use a::b::{self}` brings in `b`.
        let name = if name == "self" { path.last().cloned().unwrap_or_default() } else { name };
        path.push(last);
        found.push(Import { name, path });
    }
    found
}

/// Returns what an item is called, where its module knows it by that, and its attributes.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the other kinds have neither a name to look for nor are used here"
)]
fn head(item: &Item) -> (Option<&Ident>, &[Attribute]) {
    match item {
        Item::Const(item) => (Some(&item.ident), &item.attrs),
        Item::Enum(item) => (Some(&item.ident), &item.attrs),
        Item::Fn(item) => (Some(&item.sig.ident), &item.attrs),
        Item::Impl(item) => (None, &item.attrs),
        Item::Macro(item) => (item.ident.as_ref(), &item.attrs),
        Item::Mod(item) => (None, &item.attrs),
        Item::Static(item) => (Some(&item.ident), &item.attrs),
        Item::Struct(item) => (Some(&item.ident), &item.attrs),
        Item::Trait(item) => (Some(&item.ident), &item.attrs),
        Item::Type(item) => (Some(&item.ident), &item.attrs),
        Item::Union(item) => (Some(&item.ident), &item.attrs),
        Item::Use(item) => (None, &item.attrs),
        _ => (None, &[]),
    }
}
