//! Two hosts and a disk, watched from outside; everything that is run on them is told to the oracle.

use super::oracle::{Content, File, Look, Objection, Oracle, Ran};
use crate::pair::{Asset, Pair, with_backup};
use bed::loopfs::Disk;
use bed::{Bed, Ended, Need, Program, real};
use std::path::{Path, PathBuf};

/// The files outside the asset; the last one is large, so that its backup needs room.
pub(super) const OUTSIDE: [&str; 3] = ["file", "folder/other", "large"];

/// How many bytes the large one has.
const LARGE: usize = 300 << 10;

pub(super) struct World<'a> {
    pub(super) pair: Pair<'a>,
    disk: &'a Disk,
    firsts: [String; 2],
    version: u64,
    pub(super) oracle: Oracle,
    /// Everything that was done, to be read when the oracle objects.
    pub(super) log: Vec<String>,
    /// Every record that was made, as printed.
    pub(super) records: Vec<String>,
    /// What the clocks say from now on, as faketime(1) takes it.
    pub(super) clock: Option<&'static str>,
}

impl<'a> World<'a> {
    /// Makes a pair with a backup; `ec1` holds the asset.
    pub(super) fn new(bed: &'a Bed, disk: &'a Disk) -> Self {
        bed.tools(&["mkdir", "flock"]);
        let pair = Pair::new(bed, &Asset::Ext4(disk));
        pair.apart(disk);
        with_backup(&pair);
        bed.config("ha.toml", bed.read("etc/ha.toml") + "keep = 5\n");
        let firsts = [1, 2].map(|host| pair.first_process(host).to_owned());
        let mut world = Self {
            pair,
            disk,
            firsts,
            version: 1,
            oracle: Oracle::default(),
            log: Vec::new(),
            records: Vec::new(),
            clock: None,
        };
        for host in [2, 1] {
            for name in OUTSIDE {
                world.put(host, name);
            }
        }
        world.pair.shell(1, "echo v1 >at/data").run();
        // Cron has run: a host that never heard of an asset that somebody mounted has no way back to it.
        world.pair.program(1, "habackup").any_stdout().goes_well().run();
        world.oracle = Oracle::new(world.looks());
        world.pair.forget();
        world
    }

    fn put(&mut self, host: usize, name: &str) {
        let text = format!("v{}\n", self.version);
        let text = if name == "large" { format!("{text}{}", "x".repeat(LARGE)) } else { text };
        self.pair.bed.write(format!("outside.{host}/{name}"), text);
    }

    /// Lets whoever works on a host write to a file, if a service runs there with the asset.
    pub(super) fn edit(&mut self, host: usize, which: usize) {
        if !self.look(host).holds || !["proxy", "ec"].iter().any(|name| self.is_up(host, name)) {
            return;
        }
        self.version += 1;
        let file = match OUTSIDE.get(which % (OUTSIDE.len() + 1)) {
            Some(name) => {
                self.put(host, name);
                File::Outside(name)
            }
            None => {
                let line = format!("echo v{} >at/data.new && mv at/data.new at/data", self.version);
                if self.pair.shell(host, &line).any_status().any_stderr().run().status != 0 {
                    self.version -= 1;
                    return;
                }
                File::Asset
            }
        };
        self.log.push(format!("    ec{host} edits {file:?}: {}", self.version));
        self.oracle.wrote(host, (file, self.version));
    }

    /// Runs a program and lets the oracle judge what came of it.
    pub(super) fn run(
        &mut self,
        host: usize,
        name: &str,
        args: &[&str],
        stdin: Option<&str>,
    ) -> Result<Ended, Objection> {
        let program = self.prepare(host, name, args, stdin);
        let ended = program.run();
        self.judge(host, name, args, &ended)?;
        Ok(ended)
    }

    /// Prepares a run that the oracle does not see.
    pub(super) fn prepare(&self, host: usize, name: &str, args: &[&str], stdin: Option<&str>) -> Program<'a> {
        let program = self.pair.program(host, name).args(args).any_status().any_stdout().any_stderr();
        let program = match (self.clock, faketime()) {
            (Some(clock), Some(library)) => program
                .env("LD_PRELOAD", library)
                .env("FAKETIME", clock)
                // Only what a clock on the wall shows; waiting goes on as it does.
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
                .env("DONT_FAKE_MONOTONIC", "1")
                .env("FAKETIME_DISABLE_SHM", "1")
                .env("NO_FAKE_STAT", "1"),
            _ => program,
        };
        match stdin {
            Some(text) => program.stdin(text),
            None => program,
        }
    }

    /// Tells the oracle of a run that has ended.
    pub(super) fn judge(
        &mut self,
        host: usize,
        name: &str,
        args: &[&str],
        ended: &Ended,
    ) -> Result<(), Objection> {
        let root = self.pair.bed.root().display().to_string();
        let line = format!("{name} {}", args.join(" ")).replace(&root, "");
        let said = format!("{}{}", ended.stdout, ended.stderr).replace(&root, "");
        let clock = self.clock.map(|clock| format!(" (clock {clock})")).unwrap_or_default();
        let shown = said.lines().filter(|line| !line.starts_with("{\"format\":\"orderly-journal"));
        let shown: String = shown.map(|line| format!("\n        {line}")).collect();
        self.log.push(format!("    ec{host}# {line}{clock} => {}{shown}", ended.status));
        if let Some(record) = ended.stdout.lines().rfind(|line| line.contains("\"orderly-release/1\"")) {
            self.records.push(format!("{record}\n"));
        }
        let looks = self.looks();
        self.oracle.ran(&Ran { host, line, status: ended.status, said }, looks)
    }

    pub(super) fn note(&mut self, text: impl Into<String>) {
        self.log.push(format!("    {}", text.into()));
    }

    /// Returns the disk's device, which each host has for its own.
    pub(super) fn device(&self) -> String {
        self.disk.device().display().to_string()
    }

    pub(super) fn looks(&self) -> [Look; 2] {
        [1, 2].map(|host| self.look(host))
    }

    /// Returns what the kernel tells of a host.
    fn proc(&self, host: usize) -> PathBuf {
        Path::new("/proc").join(&self.firsts[host - 1])
    }

    /// Returns a path below the root as a host sees it.
    fn inside(&self, host: usize, below: &str) -> PathBuf {
        let path = self.pair.bed.path(below);
        self.proc(host).join("root").join(path.strip_prefix("/").unwrap())
    }

    /// Looks at a host through the kernel, from outside.
    pub(super) fn look(&self, host: usize) -> Look {
        let bed = self.pair.bed;
        let table = std::fs::read_to_string(self.proc(host).join("mountinfo")).unwrap();
        let is_mounted = |at: &str| table.contains(&format!(" {} ", bed.path(at).display()));
        let at = self.inside(host, "at");
        let mut look = Look { holds: is_mounted("at"), ..Look::default() };
        let has_address =
            std::fs::read_to_string(self.proc(host).join("net/fib_trie")).unwrap().contains("192.0.2.10\n");
        let etab = std::fs::read_to_string(bed.path(format!("etab.ec{host}"))).unwrap_or_default();
        let runs = ["proxy", "ec"].iter().all(|name| self.is_up(host, name));
        look.whole = look.holds && is_mounted("loop") && has_address && etab.contains("at/share") && runs;
        for file in OUTSIDE {
            let own = format!("outside.{host}/{file}");
            look.files.insert(File::Outside(file), version(&bed.path(own)).unwrap_or_default());
            let restores = self.pair.state(host).join("restores");
            let edited = names(&restores).into_iter().flat_map(|restore| {
                let folder = restores.join(restore);
                let folders = names(&folder).into_iter().filter(|name| name.starts_with("edited"));
                folders.filter_map(|name| self.copy(&folder.join(name), file)).collect::<Vec<_>>()
            });
            look.saved.extend(edited);
            look.saved.extend(self.kept(&restores, ".undone", file).into_iter().map(|(_, content)| content));
        }
        if look.holds {
            look.files.insert(File::Asset, version(&at.join("data")).unwrap_or_default());
            for name in OUTSIDE {
                look.snapshots.extend(self.kept(&at.join("habackup"), ".incomplete", name));
            }
        }
        look
    }

    /// Returns what the snapshots of a folder have of a file, but those of this ending.
    fn kept(&self, folder: &Path, but: &str, file: &'static str) -> Vec<(String, Content)> {
        let whole = names(folder).into_iter().filter(|name| name.starts_with('2') && !name.ends_with(but));
        let found =
            whole.filter_map(|name| self.copy(&folder.join(&name), file).map(|content| (name, content)));
        found.collect()
    }

    /// Returns what one snapshot has of a file.
    fn copy(&self, snapshot: &Path, file: &'static str) -> Option<Content> {
        let below = self.pair.bed.path(format!("outside/{file}"));
        let below = Path::new("tree").join(below.strip_prefix("/").unwrap());
        Some((File::Outside(file), version(&snapshot.join(below))?))
    }

    pub(super) fn is_up(&self, host: usize, service: &str) -> bool {
        self.pair.bed.path(format!("ec{host}.{service}")).exists()
    }

    /// Takes the power from a host and boots it.
    pub(super) fn crash(&mut self, host: usize) {
        self.note(format!("ec{host} loses its power and boots"));
        let holds = self.look(host).holds;
        let dirty = holds.then(|| {
            self.pair.shell(host, "sync -f at").any_status().any_stderr().run();
            self.disk.content()
        });
        let down = "exportfs -u '*:'$ORDERLY_BED/at/share; umount loop; umount at; svc proxy stop; svc ec stop; \
                    ip address del 192.0.2.10/32 dev lo";
        self.pair.shell(host, down).any_stdout().any_stderr().any_status().run();
        if let Some(dirty) = dirty {
            self.disk.put(&dirty);
        }
        self.pair.bed.write(format!("boot_id.ec{host}"), format!("boot-{}\n", self.log.len()));
        self.pair.forget();
        let looks = self.looks();
        self.oracle.ran(&Ran { host, ..Ran::default() }, looks).unwrap();
    }

    /// Fills the asset but for what the programs need to write a label, or empties it again.
    pub(super) fn fill(&mut self, host: usize, fills: bool) {
        let line = if fills {
            "cat /dev/zero >at/filler 2>/dev/null; truncate -s -65536 at/filler; sync -f at"
        } else {
            "rm -f at/filler; sync -f at"
        };
        let is_full = self.inside(host, "at/filler").exists();
        if is_full == fills {
            return;
        }
        self.note(format!("the asset is {}", if fills { "full" } else { "no longer full" }));
        self.pair.bed.tool("truncate");
        self.pair.shell(host, line).any_status().any_stderr().run();
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn version(path: &Path) -> Option<u64> {
    let text = std::fs::read(path).ok()?;
    let line = text.split(|byte| *byte == b'\n').next()?;
    std::str::from_utf8(line).ok()?.strip_prefix('v')?.parse().ok()
}

/// Returns the library that fakes the clock, where faketime(1) is installed.
fn faketime() -> Option<PathBuf> {
    real::find("faketime")?;
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten();
    let paths = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    paths.chain([PathBuf::from("/usr/lib/faketime/libfaketime.so.1")]).find(|path| path.exists())
}

/// What the trips need beyond a pair.
pub(super) const NEEDS: [Need; 2] = [Need::Program("faketime"), Need::Program("flock")];
