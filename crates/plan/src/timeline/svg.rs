//! The picture of a run: one SVG that needs nothing else, and no script. All lengths are in em, so that text and bars
//! grow with the text size of whoever looks at it.

use super::rows::{Counted, Folded, ROWS};
use super::{Row, Stage, Timeline, TimelineEnd};
use crate::duration;
use crate::nodeset;
use crate::outcome::Fate;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

/// Columns of the picture, in em: names, what came of each, the time. The reasons stand before the time, so that a window
/// that is too narrow for all of it shows them.
const LABELS: f64 = 14.0;
const NOTES: f64 = 11.0;
const CHART: f64 = 48.0;
/// Behind the time: half of the last word at the axis.
const MARGIN: f64 = 2.0;
/// Where the time begins.
const BEGIN: f64 = LABELS + NOTES;
/// The height of a row, and of what stands above the first.
const ROW: f64 = 1.5;
const HEAD: f64 = 6.5;

/// Longer names are cut; the whole name is in the tooltip.
const NAME: usize = 24;

/// Says what a picture is of.
#[derive(Debug, Clone, Copy)]
pub struct TimelineTitle<'t> {
    /// `cstartup ALL`
    pub command: &'t str,
    /// `2026-11-30 06:12:33, 16 up, 1 failed`
    pub about: &'t str,
}

const STYLE: &str = "\
:root{background:#fff}text{font-family:system-ui,sans-serif;fill:#1f2328}\
.paper{fill:#fff}.title{font-size:1.25em;font-weight:600}.note,.tick{font-size:.8em;fill:#59636e}\
.grid{stroke:#d1d9e0;stroke-width:1}.even{fill:#818b98;fill-opacity:.09}.name{font-size:.85em}\
.critical .name{font-weight:700}.path{fill:none;stroke:#1f2328;stroke-width:2;vector-effect:non-scaling-stroke}\
.bad{fill:#cf222e}.held{fill:#9a6700}.while{fill-opacity:.3}.well{fill:#aceebb}\
.queued{fill:#d1d9e0}.probing{fill:#c297ff}.power{fill:#e3a008}.booting{fill:#54aeff}\
.notice{fill:#b8d78c}.users{fill:#5fa04e}.subsystem{fill:#e275ad}.halting{fill:#ec8e2c}.off{fill:#818b98}\
@media(prefers-color-scheme:dark){\
:root{background:#0d1117}text{fill:#f0f6fc}.paper{fill:#0d1117}.note,.tick{fill:#9198a1}.grid{stroke:#3d444d}\
.path{stroke:#f0f6fc}.bad{fill:#ff7b72}.held{fill:#d29922}.well{fill:#1a5a30}\
.queued{fill:#656c76}.probing{fill:#8957e5}.power{fill:#bb8009}.booting{fill:#1f6feb}\
.notice{fill:#7a9a4a}.users{fill:#3f7a33}.subsystem{fill:#bf4b8a}.halting{fill:#c4621a}.off{fill:#4f5761}}";

impl Timeline {
    /// Returns the picture. Where there are more than 60 nodes they are folded by the group that `group` names for each.
    pub fn svg(&self, title: &TimelineTitle<'_>, group: &dyn Fn(&str) -> Option<String>) -> String {
        let total = self.total();
        let folded = if self.rows.len() > ROWS { self.folded(group) } else { Vec::new() };
        let rows = if folded.is_empty() { self.rows.len() } else { folded.len() };
        let foot = HEAD + ROW * rows as f64;
        let mut picture = Picture { text: String::new(), total };
        picture.open(title, foot + 2.0);
        picture.legend(self);
        picture.axis(foot);
        if folded.is_empty() {
            for (at, row) in self.in_order().into_iter().enumerate() {
                picture.node(at, row);
            }
        } else {
            for (at, group) in folded.iter().enumerate() {
                match group.rows.as_slice() {
                    [program] if program.is_program() => picture.node(at, program),
                    _ => picture.group(at, group),
                }
            }
        }
        picture.text.push_str("</svg>\n");
        picture.text
    }
}

/// The text of a picture, as far as it is written.
struct Picture {
    text: String,
    total: Duration,
}

impl Picture {
    // Writing to a String cannot fail.
    fn put(&mut self, part: std::fmt::Arguments<'_>) {
        self.text.write_fmt(part).ok();
    }

    fn open(&mut self, title: &TimelineTitle<'_>, height: f64) {
        let (width, command, about) = (BEGIN + CHART + MARGIN, escaped(title.command), escaped(title.about));
        self.put(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}em\" height=\"{height:.1}em\" role=\"img\" \
             aria-label=\"{command}: {about}\">\n<title>{command}</title>\n<style>{STYLE}</style>\n\
             <rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n\
             <text class=\"title\" x=\".8em\" y=\"1.4em\">{command}</text>\n\
             <text class=\"note\" x=\"1.25em\" y=\"3.5em\">{about}</text>\n"
        ));
    }

    /// Says what the colours that are there mean.
    fn legend(&mut self, timeline: &Timeline) {
        let rows = || timeline.rows.iter();
        let stages: BTreeSet<Stage> = rows().flat_map(|row| &row.bars).map(|bar| bar.stage).collect();
        let mut entries: Vec<(&str, &str)> =
            stages.into_iter().map(|stage| (stage.word(), stage.word())).collect();
        if rows().count() > ROWS {
            entries.push(("well", "as was asked"));
        }
        for (class, word, fate) in [("held", "held", Fate::Held), ("bad", "not as was asked", Fate::Bad)] {
            if rows().any(|row| row.fate() == Some(fate)) {
                entries.push((class, word));
            }
        }
        let mut x = 1.0;
        for (class, word) in entries {
            self.put(format_args!(
                "<rect class=\"{class}\" x=\"{x:.2}em\" y=\"3.6em\" width=\"1em\" height=\"1em\" rx=\".15em\"/>\
                 <text class=\"note\" x=\"{:.2}em\" y=\"5.5em\">{word}</text>\n",
                (x + 1.4) / 0.8
            ));
            x += 2.4 + 0.45 * word.len() as f64;
        }
        if rows().any(|row| row.is_critical) {
            self.put(format_args!(
                "<text class=\"note\" x=\"{:.2}em\" y=\"5.5em\" font-weight=\"700\">\u{25c6} critical path</text>\n",
                x / 0.8
            ));
        }
    }

    fn axis(&mut self, foot: f64) {
        let step = step(self.total);
        let mut at = Duration::ZERO;
        while at <= self.total {
            let x = self.x(at);
            let said = if at.is_zero() { "0".to_owned() } else { round_words(at) };
            self.put(format_args!(
                "<line class=\"grid\" x1=\"{x:.2}em\" x2=\"{x:.2}em\" y1=\"{:.1}em\" y2=\"{foot:.1}em\"/>\
                 <text class=\"tick\" text-anchor=\"middle\" x=\"{:.2}em\" y=\"{:.2}em\">{said}</text>\
                 <text class=\"tick\" text-anchor=\"middle\" x=\"{:.2}em\" y=\"{:.2}em\">{said}</text>\n",
                HEAD - 0.2,
                x / 0.8,
                (HEAD - 0.5) / 0.8,
                x / 0.8,
                (foot + 1.1) / 0.8
            ));
            at += step;
        }
    }

    fn x(&self, at: Duration) -> f64 {
        BEGIN + CHART * at.as_secs_f64() / self.total.as_secs_f64()
    }

    /// Begins a row: its ground, its name, and the field that has the time as its width.
    fn begin_row(&mut self, at: usize, class: &str, (name, tip): (&str, &str), height: u32) {
        let y = HEAD + ROW * at as f64;
        self.put(format_args!("<g{class}><title>{}</title>", escaped(tip)));
        if at % 2 == 0 {
            self.put(format_args!(
                "<rect class=\"even\" x=\"0\" y=\"{y:.1}em\" width=\"100%\" height=\"{ROW}em\"/>"
            ));
        }
        let shown: String = match name.chars().count() {
            0..=NAME => name.to_owned(),
            // Paths differ at their end.
            many if name.contains('/') => {
                ['\u{2026}'].into_iter().chain(name.chars().skip(many + 1 - NAME)).collect()
            }
            _ => name.chars().take(NAME - 1).chain(['\u{2026}']).collect(),
        };
        self.put(format_args!(
            "<text class=\"name\" text-anchor=\"end\" x=\"{:.2}em\" y=\"{:.2}em\">{}</text>\
             <svg x=\"{BEGIN}em\" y=\"{:.2}em\" width=\"{CHART}em\" height=\"{:.2}em\" \
             viewBox=\"0 0 {} {height}\" preserveAspectRatio=\"none\">",
            (LABELS - 0.6) / 0.85,
            (y + 1.05) / 0.85,
            escaped(&shown),
            y + 0.15,
            ROW - 0.3,
            self.total.as_millis().max(1)
        ));
    }

    /// Ends a row, with a word between its name and the time.
    fn end_row(&mut self, at: usize, (class, word): (&str, &str)) {
        let y = HEAD + ROW * at as f64;
        self.put(format_args!(
            "</svg><text class=\"note{class}\" x=\"{:.2}em\" y=\"{:.2}em\">{}</text></g>\n",
            LABELS / 0.8,
            (y + 1.05) / 0.8,
            escaped(word)
        ));
    }

    fn node(&mut self, at: usize, row: &Row) {
        let end = row.end.as_ref();
        let tip = match end {
            Some(end) => format!("{}: {}", row.name, end.said),
            None => format!("{}: not over", row.name),
        };
        let mark = if row.is_critical { "\u{25c6} " } else { "" };
        let class = if row.is_critical { " class=\"critical\"" } else { "" };
        self.begin_row(at, class, (&format!("{mark}{}", row.name), &tip), 10);
        for bar in &row.bars {
            let (from, width) = (bar.from.as_millis(), bar.to.saturating_sub(bar.from).as_millis());
            // Whatever happened is seen.
            let width = width.max(self.total.as_millis() / 800).max(1);
            let shown = |at| if at == Duration::ZERO { "0s".to_owned() } else { duration::show(at) };
            self.put(format_args!(
                "<rect class=\"bar {0}\" x=\"{from}\" y=\"0\" width=\"{width}\" height=\"10\">\
                 <title>{1} {0}: {2} to {3} ({4})</title></rect>",
                bar.stage.word(),
                escaped(&row.name),
                shown(bar.from),
                shown(bar.to),
                duration::show(bar.to.saturating_sub(bar.from))
            ));
        }
        if let (true, Some(began), Some(ended)) = (row.is_critical, row.began(), row.ended()) {
            let (from, width) = (began.as_millis(), ended.saturating_sub(began).as_millis());
            self.put(format_args!(
                "<rect class=\"path\" x=\"{from}\" y=\"0\" width=\"{width}\" height=\"10\"/>"
            ));
        }
        match end {
            Some(end) if end.fate == Fate::Bad && !row.bars.is_empty() => self.tick(end, 10, &tip),
            Some(end) if end.fate == Fate::Held => {
                let (from, until) = (end.at.as_millis(), self.total.as_millis());
                let (width, said) = (until.saturating_sub(from).max(1), escaped(&tip));
                self.put(format_args!(
                    "<rect class=\"held while\" x=\"{from}\" y=\"3\" width=\"{width}\" height=\"4\">\
                     <title>{said}</title></rect>"
                ));
            }
            Some(_) | None => {}
        }
        let word = end.map_or("not over", |end| end.said.split(':').next().unwrap_or_default());
        let took = row.began().zip(row.ended()).map(|(began, ended)| ended.saturating_sub(began));
        let took = took.filter(|took| !took.is_zero()).map_or_else(String::new, duration::show);
        let word = match (word, took.as_str()) {
            (word, "") => word.to_owned(),
            ("", took) => took.to_owned(),
            (word, took) => format!("{took}, {word}"),
        };
        self.end_row(at, (noted(row.fate()), &cut(&word)));
    }

    /// Marks when a node failed, over the whole height of a row.
    fn tick(&mut self, end: &TimelineEnd, height: u32, tip: &str) {
        let width = (self.total.as_millis() / 250).max(1);
        let (from, said) = (end.at.as_millis().saturating_sub(width), escaped(tip));
        self.put(format_args!(
            "<rect class=\"bad\" x=\"{from}\" y=\"0\" width=\"{width}\" height=\"{height}\"><title>{said}</title></rect>"
        ));
    }

    fn group(&mut self, at: usize, folded: &Folded<'_>) {
        let size = folded.rows.len();
        let of = |fate| folded.rows.iter().filter(move |row| row.fate() == Some(fate));
        let (bad, held) = (reasons(of(Fate::Bad)), reasons(of(Fate::Held)));
        let mut tip = format!("{}: {size} nodes", folded.name);
        for (said, rows) in bad.iter().chain(&held) {
            write!(tip, "\n{}: {said}", names(rows)).ok();
        }
        let height = u32::try_from(size).unwrap_or(u32::MAX).max(1);
        let is_critical = folded.rows.iter().any(|row| row.is_critical);
        let (mark, class) = if is_critical { ("\u{25c6} ", " class=\"critical\"") } else { ("", "") };
        self.begin_row(at, class, (&format!("{mark}{} ({size})", folded.name), &tip), height);
        let counted = folded.counted(self.total);
        let mut below = vec![0u32; counted.well.len()];
        for (class, counts) in layers(&counted) {
            let above: Vec<u32> = below.iter().zip(counts).map(|(below, count)| below + count).collect();
            let most = counts.iter().max().copied().unwrap_or(0);
            if most > 0 {
                let path = self.band(&below, &above, height);
                self.put(format_args!(
                    "<path class=\"{class}\" d=\"{path}\"><title>{}: {} {}</title></path>",
                    escaped(&folded.name),
                    match class {
                        "well" | "held" | "bad" => format!("{most} of {size}"),
                        _ => format!("at most {most} of {size} at once:"),
                    },
                    match class {
                        "well" => "as was asked",
                        "bad" => "not as was asked",
                        stage => stage,
                    }
                ));
            }
            below = above;
        }
        // One that failed among hundreds is no more than a hair of the band.
        for (said, rows) in &bad {
            let mut together: BTreeMap<u128, Vec<&Row>> = BTreeMap::new();
            for row in rows {
                let at = row.end.as_ref().map_or(0, |end| self.piece(end.at));
                together.entry(at).or_default().push(row);
            }
            for rows in together.values() {
                if let Some(end) = rows.iter().find_map(|row| row.end.as_ref()) {
                    self.tick(end, height, &format!("{}: {said}", names(rows)));
                }
            }
        }
        let count = |fate| of(fate).count();
        let (failed, held) = (count(Fate::Bad), count(Fate::Held));
        let words = [(failed, "not as asked"), (held, "held")];
        let words: Vec<String> = words
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        let fate = if failed > 0 { Some(Fate::Bad) } else { (held > 0).then_some(Fate::Held) };
        self.end_row(at, (noted(fate), &words.join(", ")));
    }

    /// Returns in which piece of the time something is: marks that are nearer than that would lie upon one another.
    fn piece(&self, at: Duration) -> u128 {
        at.as_millis() * 250 / self.total.as_millis().max(1)
    }

    /// Returns the path around what lies between two heights, counted from below.
    fn band(&self, below: &[u32], above: &[u32], height: u32) -> String {
        let total = self.total.as_millis().max(1);
        let x = |piece: usize| piece as u128 * total / below.len() as u128;
        let mut path = String::new();
        let mut edge = |heights: &[u32], pieces: &mut dyn Iterator<Item = usize>, turn: bool| {
            let mut last = None;
            for piece in pieces {
                let y = height.saturating_sub(heights[piece]);
                if last == Some(y) {
                    continue;
                }
                let from = x(if turn { piece + 1 } else { piece });
                let sign = if path.is_empty() { "M" } else { "L" };
                match last {
                    Some(last) => write!(path, "L{from} {last}V{y}").ok(),
                    None => write!(path, "{sign}{from} {y}").ok(),
                };
                last = Some(y);
            }
            let end = x(if turn { 0 } else { heights.len() });
            write!(path, "H{end}").ok();
        };
        edge(above, &mut (0..above.len()), false);
        edge(below, &mut (0..below.len()).rev(), true);
        path.push('Z');
        path
    }
}

/// Returns what is drawn one above the other, from below.
fn layers(counted: &Counted) -> Vec<(&'static str, &Vec<u32>)> {
    let stages = counted.stages.iter().rev().map(|(stage, counts)| (stage.word(), counts));
    [("well", &counted.well)]
        .into_iter()
        .chain(stages)
        .chain([("held", &counted.held), ("bad", &counted.bad)])
        .collect()
}

/// Returns those that ended so, by how.
fn reasons<'r>(rows: impl Iterator<Item = &'r &'r Row>) -> BTreeMap<&'r str, Vec<&'r Row>> {
    let mut reasons: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        if let Some(end) = &row.end {
            reasons.entry(&end.said).or_default().push(row);
        }
    }
    reasons
}

fn names(rows: &[&Row]) -> String {
    nodeset::fold(rows.iter().map(|row| row.name.as_str()))
}

/// Returns the class of a word about a row, behind that of all such words.
fn noted(fate: Option<Fate>) -> &'static str {
    match fate {
        Some(Fate::Bad) => " bad",
        Some(Fate::Held) => " held",
        Some(Fate::Well) | None => "",
    }
}

/// Returns the distance between two marks of the axis: a round time, at most ten of them.
fn step(total: Duration) -> Duration {
    const ROUND: [u64; 18] = [
        100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000,
        900_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000,
    ];
    let least = total.as_millis() / 10;
    let found = ROUND.iter().copied().find(|&round| u128::from(round) >= least);
    Duration::from_millis(found.unwrap_or_else(|| u64::try_from(least).unwrap_or(u64::MAX).max(1)))
}

/// Returns a round time as it stands at the axis: `30s`, `5m`, `1m30s`.
fn round_words(at: Duration) -> String {
    let (seconds, ms) = (at.as_secs(), at.subsec_millis());
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) if ms > 0 => format!("{:.1}s", s as f64 + f64::from(ms) / 1000.0),
        (0, 0, s) => format!("{s}s"),
        (0, m, 0) => format!("{m}m"),
        (0, m, s) => format!("{m}m{s:02}s"),
        (h, 0, _) => format!("{h}h"),
        (h, m, _) => format!("{h}h{m:02}m"),
    }
}

/// Returns a word that fits behind a row.
fn cut(word: &str) -> String {
    match word.chars().count() {
        0..=24 => word.to_owned(),
        _ => word.chars().take(23).chain(['\u{2026}']).collect(),
    }
}

/// Returns a text as XML has it; what XML cannot hold is shown as a box.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{25a1}'),
            char if char.is_control() || crate::name::is_unseen(char) => escaped.push('\u{25a1}'),
            char => escaped.push(char),
        }
    }
    escaped
}
