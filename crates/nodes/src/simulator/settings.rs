//! `[simulator]` in `cluster.toml`.

use orderly_exec::settings::Table;
use orderly_plan::nodeset;
use std::path::PathBuf;
use std::time::Duration;

/// How the imagined nodes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulatorSettings {
    /// Where the world is kept; `simulator.json` in the state directory when it is not given.
    pub state: Option<PathBuf>,
    /// What nodes are that are not in the file yet.
    pub initial: Initial,
    pub boot: Duration,
    pub halt: Duration,
    /// Each node takes up to this much longer, always the same for the same seed and name.
    pub jitter: Duration,
    pub seed: u64,
    /// How long a call takes.
    pub latency: Duration,
    /// The names of nodes that refuse whatever they are told.
    pub fail: Vec<String>,
    /// The names of nodes that never come up, and never go down.
    pub hang: Vec<String>,
    /// A halted node switches its power off by itself.
    pub powers_off: bool,
    /// Boot and halt take so many times less.
    pub speed: u32,
}

/// What an imagined node is at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initial {
    Off,
    Up,
}

impl Default for SimulatorSettings {
    fn default() -> Self {
        Self {
            state: None,
            initial: Initial::Off,
            boot: Duration::from_secs(3),
            halt: Duration::from_secs(2),
            jitter: Duration::ZERO,
            seed: 0,
            latency: Duration::from_millis(20),
            fail: Vec::new(),
            hang: Vec::new(),
            powers_off: true,
            speed: 1,
        }
    }
}

impl SimulatorSettings {
    pub(crate) fn read(table: &Table<'_>) -> Self {
        let default = Self::default();
        let names = |key: &'static str| {
            let Some(text) = table.text(key) else { return Vec::new() };
            nodeset::expand(&text).unwrap_or_else(|fault| {
                table.reject(key, format!("{}: {fault}", table.named(key)));
                Vec::new()
            })
        };
        let speed = table.number("speed").map_or(Some(1), |speed| {
            u32::try_from(speed).ok().filter(|speed| (1..=1_000_000).contains(speed))
        });
        if speed.is_none() {
            table.reject("speed", format!("{}: from 1 to 1000000", table.named("speed")));
        }
        let initial = match table.word("initial", &["off", "up"]) {
            Some("up") => Initial::Up,
            Some(_) | None => Initial::Off,
        };
        Self {
            state: table.absolute_path("state"),
            initial,
            boot: table.duration("boot").unwrap_or(default.boot),
            halt: table.duration("halt").unwrap_or(default.halt),
            jitter: table.duration("jitter").unwrap_or(default.jitter),
            seed: table.number("seed").unwrap_or(default.seed),
            latency: table.duration("latency").unwrap_or(default.latency),
            fail: names("fail"),
            hang: names("hang"),
            powers_off: table.flag("powers_off").unwrap_or(default.powers_off),
            speed: speed.unwrap_or(1),
        }
    }

    /// Returns how long a node takes for what usually takes `usual`.
    pub(crate) fn time(&self, name: &str, usual: Duration) -> Duration {
        let share = f64::from(u32::try_from(mix(self.seed, name) >> 32).unwrap_or(0)) / f64::from(u32::MAX);
        (usual + self.jitter.mul_f64(share)) / self.speed.max(1)
    }
}

/// Returns a number that depends on each bit of its arguments (FNV-1a, then the end of splitmix64).
fn mix(seed: u64, name: &str) -> u64 {
    let mut state = 0xcbf2_9ce4_8422_2325 ^ seed;
    for byte in name.bytes() {
        state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}
