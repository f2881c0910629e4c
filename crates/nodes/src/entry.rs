//! The lists of drivers: each driver is an entry, with its word and its keys, and reads its own table of
//! `cluster.toml`.

use orderly_exec::settings::Table;

/// A driver, as `driver = "WORD"` names it.
pub(crate) struct DriverEntry<D> {
    pub(crate) word: &'static str,
    /// Its keys beside `driver` and those that all drivers of its kind have.
    pub(crate) keys: &'static [&'static str],
    /// Reads its table. `base` is the driver that an override changes, which may be another one.
    pub(crate) read: fn(&Table<'_>, base: Option<&D>) -> Option<D>,
}

/// Returns the driver that a table states; `base` is the one that an override changes, with its word.
pub(crate) fn read<D>(
    table: &Table<'_>,
    drivers: &[DriverEntry<D>],
    base: Option<(&'static str, &D)>,
) -> Option<D> {
    let words: Vec<&str> = drivers.iter().map(|driver| driver.word).collect();
    let word = table.word_or("driver", &words, base.map(|(word, _)| word));
    match drivers.iter().find(|driver| Some(driver.word) == word) {
        Some(driver) => (driver.read)(table, base.map(|(_, base)| base)),
        None => {
            // The keys are looked at even so, or they would all be called unknown.
            for key in drivers.iter().flat_map(|driver| driver.keys) {
                table.has(key);
            }
            None
        }
    }
}
