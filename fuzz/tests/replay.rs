//! A short fuzzing that every `make test` does: the seeds of each format, and the same with small damages.

/// A number that follows from the one before: every run tries the same.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % limit.max(1)
    }
}

/// What is put in at random: signs that the formats give a meaning, and what no text should hold.
const PIECES: &[&[u8]] = &[
    b"[",
    b"]",
    b"{",
    b"}",
    b"\"",
    b",",
    b":",
    b"=",
    b"!",
    b"&",
    b"^",
    b"@",
    b"-",
    b"/",
    b"\\",
    b"\n",
    b"\t",
    b" ",
    b"#",
    b"%n",
    b"0",
    b"9999999",
    b"[1-3]",
    b"[1-",
    b"(1)",
    b">",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"null",
    b"\\u0000",
    b"-1",
    b"n1",
    b"all",
];

fn damage(seed: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut text = seed.to_vec();
    for _ in 0..=dice.below(3) {
        let (at, length) = (dice.below(text.len() + 1), dice.below(9));
        let end = (at + length).min(text.len());
        match dice.below(4) {
            0 => drop(text.drain(at..end)),
            1 => {
                let again = text[at..end].to_vec();
                text.splice(at..at, again);
            }
            2 => text.truncate(at),
            _ => {
                text.splice(at..at, PIECES[dice.below(PIECES.len())].iter().copied());
            }
        }
    }
    text
}

#[test]
fn no_damage_to_an_input_is_a_panic_or_loses_what_it_says() {
    for format in orderly_fuzz::FORMATS {
        let mut dice = Dice(7);
        assert!(!format.seeds.is_empty(), "{} has no seed", format.name);
        for seed in format.seeds {
            (format.check)(seed.as_bytes());
            for _ in 0..300 {
                (format.check)(&damage(seed.as_bytes(), &mut dice));
            }
        }
    }
}

#[test]
fn every_format_is_found_by_its_name() {
    for format in orderly_fuzz::FORMATS {
        let found = orderly_fuzz::Format::named(format.name);
        assert_eq!(found.map(|found| found.name), Some(format.name));
    }
}
