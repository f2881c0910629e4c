//! How large the types of a crate are, and what they are called.

use super::modules::{Modules, Wanted, is_test};
use std::collections::BTreeMap;
use syn::{Attribute, ImplItem, Item, Type};

/// A struct or an enum.
#[derive(Debug, Default)]
pub(super) struct Size {
    pub(super) file: String,
    pub(super) name: String,
    /// Of an enum those of its largest variant.
    pub(super) fields: usize,
    /// Its own that take it, not those of traits.
    pub(super) methods: usize,
    /// What a command line fills.
    pub(super) is_flags: bool,
}

/// Returns all types of a crate.
pub(super) fn sizes(modules: &Modules) -> Vec<Size> {
    let mut sizes: BTreeMap<(String, String), Size> = BTreeMap::new();
    for (_, module) in modules.iter() {
        for item in &module.contents {
            let (name, fields, attributes) = if let Item::Struct(item) = item {
                (&item.ident, item.fields.len(), &item.attrs)
            } else if let Item::Enum(item) = item {
                let largest = item.variants.iter().map(|variant| variant.fields.len()).max();
                (&item.ident, largest.unwrap_or_default(), &item.attrs)
            } else {
                continue;
            };
            let (file, name, is_flags) = (module.file.clone(), name.to_string(), is_flags(attributes));
            let size = Size { file: file.clone(), name: name.clone(), fields, methods: 0, is_flags };
            sizes.insert((file, name), size);
        }
    }
    for (number, module) in modules.iter() {
        for item in &module.contents {
            let Item::Impl(item) = item else { continue };
            let (None, Type::Path(of)) = (&item.trait_, &*item.self_ty) else { continue };
            let path: Vec<String> =
                of.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            let (Some(file), Some(name)) = (modules.file_of(number, &path, Wanted::Item), path.last()) else {
                continue;
            };
            if let Some(size) = sizes.get_mut(&(file.to_owned(), name.clone())) {
                size.methods += item.items.iter().filter(|one| is_method(one)).count();
            }
        }
    }
    sizes.into_values().collect()
}

fn is_method(item: &ImplItem) -> bool {
    let ImplItem::Fn(function) = item else { return false };
    function.sig.receiver().is_some() && !is_test(&function.attrs)
}

fn is_flags(attributes: &[Attribute]) -> bool {
    let derives = |attribute: &&Attribute| attribute.path().is_ident("derive");
    let words = |attribute: &Attribute| attribute.meta.require_list().map(|list| list.tokens.to_string());
    attributes.iter().filter(derives).filter_map(|attribute| words(attribute).ok()).any(|words| {
        let flags = ["Args", "Parser", "clap :: Args", "clap :: Parser"];
        words.split(',').any(|word| flags.contains(&word.trim()))
    })
}
