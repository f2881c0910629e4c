//! Writes the seeds of every format, and the dictionaries of those that have one, below a directory and prints the names of the formats, for `run.sh`.

#![allow(clippy::print_stdout, clippy::expect_used, reason = "a tool for those who work on the programs")]

use std::path::Path;

fn main() {
    let directory = std::env::args().nth(1).expect("a directory for the seeds");
    for format in orderly_fuzz::FORMATS {
        let into = Path::new(&directory).join(format.name);
        std::fs::create_dir_all(&into).expect("make a directory for seeds");
        for (number, seed) in format.seeds.iter().enumerate() {
            std::fs::write(into.join(format!("seed-{number}")), seed).expect("write a seed");
        }
        if let Some(words) = format.dictionary() {
            let path = Path::new(&directory).join(format!("{}.dict", format.name));
            std::fs::write(path, words).expect("write a dictionary");
        }
        println!("{}", format.name);
    }
}
