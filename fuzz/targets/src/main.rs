//! libFuzzer over one input format, which ORDERLY_FORMAT names.

#![no_main]

use libfuzzer_sys::fuzz_target;
use orderly_fuzz::Format;
use std::sync::LazyLock;

static FORMAT: LazyLock<&Format> = LazyLock::new(|| {
    let name = std::env::var("ORDERLY_FORMAT").expect("ORDERLY_FORMAT names a format");
    Format::named(&name).expect("a format of orderly-fuzz")
});

fuzz_target!(|input: &[u8]| (FORMAT.check)(input));
