//! From names to the shortest node set that stands for them.
//!
//! Names are sorted by their letters and by each of their numbers; neighbours that differ in one
//! number alone are joined, the last number first. That is n log n in the number of names, also for
//! names with several numbers.

use std::collections::HashMap;
use std::fmt::Write;

/// Returns the node set of these names, `n[01-16,20],x`; empty for no names. Names that hold
/// characters with a meaning in node sets are written as they are.
pub fn fold<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    fold_words(names).join(",")
}

/// Returns the node set of these names as its operands: `n[01-16,20]`, `x`.
pub fn fold_words<'n>(names: impl IntoIterator<Item = &'n str>) -> Vec<String> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut shapes: Vec<Shape<'n>> = Vec::new();
    // Names come in families: most have the shape of the one before, which costs no look-up then.
    let (mut place, mut text, mut numbers) = (0, String::new(), Vec::new());
    for name in names {
        text.clear();
        numbers.clear();
        split(name, &mut text, &mut numbers);
        if shapes.get(place).is_none_or(|shape| shape.text != text) {
            place = places.get(&text).copied().unwrap_or(shapes.len());
            if place == shapes.len() {
                places.insert(text.clone(), place);
                shapes.push(Shape { text: text.clone(), count: numbers.len(), numbers: Vec::new() });
            }
        }
        shapes[place].numbers.append(&mut numbers);
    }
    shapes.sort_unstable_by(|a, b| a.text.cmp(&b.text));
    shapes.into_iter().flat_map(Shape::fold).collect()
}

/// Names that differ in their numbers alone.
struct Shape<'n> {
    text: String,
    /// How many numbers each name has.
    count: usize,
    /// The numbers of all names, one name after the other.
    numbers: Vec<Digits<'n>>,
}

/// A number as it is written; sorted by length, then by value, so that equal padding stays together.
type Digits<'n> = &'n str;

/// Stands in a shape where a name has a number; no name has it (control characters are forbidden).
const HOLE: char = '\u{1}';

/// Longer numbers are serial numbers and the like and stay as they are.
const LONGEST: usize = 15;

/// Names of more numbers stay as they are: joining costs their square.
const NUMBERS: usize = 16;

fn split<'n>(name: &'n str, shape: &mut String, numbers: &mut Vec<Digits<'n>>) {
    if super::is_set(name) || name.contains(['/', HOLE]) {
        shape.push_str(name);
        return;
    }
    let mut rest = name;
    while let Some(start) = rest.bytes().position(|byte| byte.is_ascii_digit()) {
        let length = rest[start..].bytes().take_while(u8::is_ascii_digit).count();
        let digits = &rest[start..start + length];
        shape.push_str(&rest[..start]);
        if length <= LONGEST {
            shape.push(HOLE);
            numbers.push(digits);
        } else {
            shape.push_str(digits);
        }
        rest = &rest[start + length..];
    }
    shape.push_str(rest);
    if numbers.len() > NUMBERS {
        name.clone_into(shape);
        numbers.clear();
    }
}

/// Names of one shape: for each number, the set of values it takes, by their number in `Sets`.
type Block = Vec<u32>;

impl Shape<'_> {
    fn fold(self) -> Vec<String> {
        match self.count {
            0 => vec![self.text],
            1 => {
                let mut values = self.numbers;
                values.sort_unstable_by_key(|digits| (digits.len(), *digits));
                values.dedup();
                vec![write_name(&self.text, &[&values])]
            }
            count => fold_blocks(&self.text, count, self.numbers.chunks(count).collect()),
        }
    }
}

/// Folds names with several numbers.
fn fold_blocks(shape: &str, count: usize, mut numbers: Vec<&[Digits<'_>]>) -> Vec<String> {
    numbers.sort_unstable_by(|a, b| {
        a.iter().map(|digits| (digits.len(), *digits)).cmp(b.iter().map(|digits| (digits.len(), *digits)))
    });
    numbers.dedup();
    let mut sets = Sets::default();
    let mut blocks: Vec<Block> =
        numbers.iter().map(|one| one.iter().map(|digits| sets.number(vec![digits])).collect()).collect();
    for dimension in (0..count).rev() {
        blocks = join(blocks, dimension, &mut sets);
    }
    blocks
        .iter()
        .map(|block| write_name(shape, &block.iter().map(|set| sets.values(*set)).collect::<Vec<_>>()))
        .collect()
}

/// Joins blocks that are equal but for one dimension.
fn join(blocks: Vec<Block>, dimension: usize, sets: &mut Sets<'_>) -> Vec<Block> {
    let mut places: HashMap<Block, usize> = HashMap::new();
    let mut joined: Vec<(Block, Vec<u32>)> = Vec::new();
    for mut block in blocks {
        let set = std::mem::replace(&mut block[dimension], 0);
        match places.get(&block) {
            Some(&place) => joined[place].1.push(set),
            None => {
                places.insert(block.clone(), joined.len());
                joined.push((block, vec![set]));
            }
        }
    }
    joined
        .into_iter()
        .map(|(mut block, parts)| {
            block[dimension] = sets.union(&parts);
            block
        })
        .collect()
}

/// Sets of values, each kept once, so that blocks are compared by number.
#[derive(Debug, Default)]
struct Sets<'n> {
    known: HashMap<Vec<Digits<'n>>, u32>,
    by_number: Vec<Vec<Digits<'n>>>,
}

impl<'n> Sets<'n> {
    fn number(&mut self, values: Vec<Digits<'n>>) -> u32 {
        let next = u32::try_from(self.by_number.len()).unwrap_or(u32::MAX);
        *self.known.entry(values).or_insert_with_key(|values| {
            self.by_number.push(values.clone());
            next
        })
    }

    fn values(&self, number: u32) -> &[Digits<'n>] {
        &self.by_number[number as usize]
    }

    fn union(&mut self, parts: &[u32]) -> u32 {
        if let [only] = parts {
            return *only;
        }
        let mut values: Vec<Digits<'n>> = parts.iter().flat_map(|part| self.values(*part)).copied().collect();
        values.sort_unstable_by_key(|digits| (digits.len(), *digits));
        values.dedup();
        self.number(values)
    }
}

fn write_name(shape: &str, values: &[&[Digits<'_>]]) -> String {
    let mut name = String::new();
    let mut values = values.iter();
    for (index, text) in shape.split(HOLE).enumerate() {
        if index > 0 {
            match values.next() {
                Some([only]) => name.push_str(only),
                Some(several) => write_ranges(&mut name, several),
                None => {}
            }
        }
        name.push_str(text);
    }
    name
}

/// Writes `[1-3,5]` of sorted values.
fn write_ranges(name: &mut String, values: &[Digits<'_>]) {
    name.push('[');
    let mut rest = values;
    while let Some(first) = rest.first() {
        let length = run(rest);
        if !name.ends_with('[') {
            name.push(',');
        }
        name.push_str(first);
        if length > 1 {
            // Writing to a String cannot fail.
            write!(name, "-{}", rest[length - 1]).ok();
        }
        rest = &rest[length..];
    }
    name.push(']');
}

/// Returns how many values from the front follow each other, padded alike.
fn run(values: &[Digits<'_>]) -> usize {
    let padded = values[0].len() > 1 && values[0].starts_with('0');
    let value = |digits: &str| digits.parse::<u64>().ok();
    let follows = |pair: &&[Digits<'_>]| {
        let same_width = pair[0].len() == pair[1].len() || (!padded && !pair[1].starts_with('0'));
        same_width && value(pair[0]).map(|number| number + 1) == value(pair[1])
    };
    1 + values.windows(2).take_while(follows).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_folded_as_clustershell_does() {
        let check = |names: &str, expected: &str| assert_eq!(fold(names.split(' ')), expected, "{names}");
        check("n8 n9 n10 n08 n09", "n[8-9,08-10]");
        check("n00 n0 n01 n1", "n[0-1,00-01]");
        check("n099 n100 n101 n1000", "n[099-101,1000]");
        check("a1b1 a1b2 a2b1 a2b2 a3b1 a3b3 a4b3", "a[1-2]b[1-2],a3b[1,3],a4b3");
        check("n1 m2 n2 m1 node login10 login2", "login[2,10],m[1-2],n[1-2],node");
        check("n1-ib0 n2-ib0 n3-ib1", "n[1-2]-ib0,n3-ib1");
        check("x01y1 x02y1 x01y2 x02y2", "x[01-02]y[1-2]");
        check("n1n n2n", "n[1-2]n");
        check("n1 n1", "n1");
    }

    #[test]
    fn names_with_signs_of_node_sets_are_left_alone() {
        assert_eq!(fold(["n[1]", "a!b"]), "a!b,n[1]");
        // Found by fuzzing: the sign that stands for a number was lost from a name.
        assert_eq!(fold(["\u{1}\u{3}x"]), "\u{1}\u{3}x");
    }
}
