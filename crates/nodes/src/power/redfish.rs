//! `driver = "redfish"`: BMCs over HTTPS, all that are ready in one process of curl.
//!
//! Each transfer is judged by the line that curl prints of it (`answer`), never by how curl ends, and as soon as it is
//! printed: a BMC that hangs holds nobody else. What a BMC answers is read from a private file. All that is secret goes
//! through curl's standard input (`the_password_of_bmcs_is_in_no_command_line_record_or_log`).

mod address;
mod answer;
mod known;
mod request;
mod settings;
mod system;

use super::driver::{Judged, PowerDriver, PowerEntry, ProgramVersion, before};
use super::password;
use crate::roster::Member;
use crate::template::Reach;
use address::Address;
use answer::Refusal;
use anyhow::anyhow;
use known::{Known, Step, Wanted};
use orderly_exec::job::{Ended, Ending, Job};
use orderly_exec::scratch::Scratch;
use orderly_plan::drivers::{FailureKind, Power, Task};
use request::{BODY, HEADERS, Request};
use settings::Settings;
pub(crate) use settings::Stated;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(super) const ENTRY: PowerEntry = PowerEntry {
    word: "redfish",
    keys: settings::KEYS,
    read: |table, base| {
        let settings = Settings::read(table, before::<Redfish>(base).map(|before| &before.settings))?;
        Some(Arc::new(Redfish { settings, memory: Mutex::default() }))
    },
};

/// Returns the driver by which nodes are halted whose table shell states this; what it leaves out is as the power
/// driver has it.
///
/// # Errors
/// A clause that names the key that is missing.
pub(crate) fn halting(stated: &Stated, power: &dyn PowerDriver) -> Result<Arc<dyn PowerDriver>, String> {
    let power = power.own_type().downcast_ref::<Redfish>().map(|power| &power.settings);
    match Settings::of_shell(stated, power) {
        Ok(settings) => Ok(Arc::new(Redfish { settings, memory: Mutex::default() })),
        Err(key) => {
            Err(format!("shell.{key} is missing (and power.driver is not \"redfish\", which would have it)"))
        }
    }
}

/// The first curl that prints `errormsg` and `exitcode` of parallel transfers without mistakes.
const LEAST: (u32, u32) = (7, 76);

/// BMCs that speak Redfish.
#[derive(Debug)]
struct Redfish {
    settings: Settings,
    memory: Mutex<Memory>,
}

/// What was found out in this run.
#[derive(Debug, Default)]
struct Memory {
    /// By node.
    known: HashMap<String, Known>,
    /// Transfers that were begun, by number: of which node, and what for.
    begun: HashMap<u64, (String, Step)>,
    count: u64,
    /// Where answers are written; it goes with this.
    scratch: Option<Scratch>,
}

impl Redfish {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wanted(&self, task: Task) -> Wanted<'_> {
        Wanted { reset_type: self.settings.reset_type(task), key: Settings::key(task) }
    }

    /// Returns the system that the inventory names.
    fn named_system(&self, node: &Member) -> Result<Option<String>, String> {
        node.attributes.get(&self.settings.system).map(|named| address::system_path(named)).transpose()
    }

    /// Returns where a node's BMC is; a unit is one itself.
    fn address<'m>(&self, node: &'m Member) -> &'m str {
        node.attributes.get(&self.settings.bmc).map_or_else(|| super::ipmi::bmc(node), String::as_str)
    }

    fn request(&self, memory: &mut Memory, task: Task, node: &Member) -> anyhow::Result<Request> {
        let address =
            Address::parse(self.address(node)).map_err(|clause| anyhow!("{}: {clause}", node.name))?;
        let named = self.named_system(node).map_err(|clause| anyhow!("{}: {clause}", node.name))?;
        let known = memory.known.entry(node.name.clone()).or_insert_with(|| Known::named(named));
        let wanted = self.wanted(task);
        let (step, path) = known.next(&wanted);
        let reset_type = wanted.reset_type.filter(|_| step == Step::Reset).map(str::to_owned);
        memory.count += 1;
        memory.begun.insert(memory.count, (node.name.clone(), step));
        Ok(Request { number: memory.count, url: address.url(&path), reset_type })
    }

    /// Takes what became of transfers; returns the nodes that they were of, each with whether another follows.
    fn take(&self, task: Task, text: &str) -> HashMap<String, bool> {
        let mut memory = self.memory();
        let Some(folder) = memory.scratch.as_ref().map(|scratch| scratch.path().to_owned()) else {
            return HashMap::new();
        };
        let mut follows = HashMap::new();
        for transfer in answer::transfers(text) {
            let Some((name, step)) = memory.begun.remove(&transfer.number) else { continue };
            let (body, headers) =
                (taken(&folder, transfer.number, BODY), taken(&folder, transfer.number, HEADERS));
            let answer = answer::judge(&transfer, &body, &headers);
            if let Some(known) = memory.known.get_mut(&name) {
                let more = known.take(step, answer, &self.wanted(task), &self.settings.system);
                follows.insert(name, more);
            }
        }
        follows
    }
}

impl Redfish {
    /// Takes note of nodes of which curl said nothing before it ended.
    fn miss<'n>(&self, nodes: impl Iterator<Item = &'n str>, ended: &Ended) {
        let kind = match ended.ending {
            Ending::TimedOut | Ending::Unkillable => FailureKind::TimedOut,
            Ending::NotStarted => FailureKind::NotStarted,
            Ending::Exited(_) | Ending::Killed(_) => FailureKind::Failed,
        };
        let mut memory = self.memory();
        for name in nodes {
            if let Some(known) = memory.known.get_mut(name) {
                known.miss(Refusal::new(kind, format!("curl said nothing of the BMC: {}", ended.clause())));
            }
        }
    }
}

/// Returns what curl wrote, and removes it. There is no file where nothing was answered.
fn taken(folder: &Path, number: u64, suffix: &str) -> String {
    let path = folder.join(format!("{number}{suffix}"));
    let bytes = fs::read(&path).unwrap_or_default();
    fs::remove_file(&path).ok();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns which version of curl is needed.
pub(crate) fn version_of(program: &str) -> ProgramVersion {
    let ask = [program, "--disable", "--version"].map(str::to_owned).to_vec();
    ProgramVersion { ask, least: LEAST, package: "curl" }
}

/// Returns what people are told at every run that trusts whoever answers.
pub(crate) fn of_insecure(key: &str) -> String {
    format!(
        "{key} is set: certificates of BMCs are not verified, and whoever answers in their place gets the password"
    )
}

impl PowerDriver for Redfish {
    fn word(&self) -> &'static str {
        ENTRY.word
    }

    fn reach(&self, _task: Task) -> Option<Reach> {
        Some(Reach::Set)
    }

    fn job(&self, task: Task, nodes: &[&Member], timeout: Duration) -> anyhow::Result<Option<Job>> {
        let password = password::read(&self.settings.password_file)?;
        let mut memory = self.memory();
        let requests: Vec<Request> =
            nodes.iter().map(|node| self.request(&mut memory, task, node)).collect::<Result<_, _>>()?;
        if memory.scratch.is_none() {
            memory.scratch = Some(Scratch::new()?);
        }
        let Some(scratch) = &memory.scratch else { return Ok(None) };
        // The first word, or a file of the user's would be read before.
        let mut job = Job::new([&self.settings.program, "--disable", "--parallel", "--config", "-"], timeout);
        job.stdin = request::configuration(&requests, &self.settings, &password, scratch.path(), timeout)
            .into_bytes();
        Ok(Some(job))
    }

    fn powers(&self, nodes: &[&Member], _ended: &Ended) -> Vec<Power> {
        let memory = self.memory();
        let power = |node: &&Member| memory.known.get(&node.name).map_or(Power::Unknown, |known| known.power);
        nodes.iter().map(power).collect()
    }

    fn judges_each(&self) -> bool {
        true
    }

    fn judge(&self, task: Task, nodes: &[&Member], ended: &Ended, is_over: bool) -> Vec<Judged> {
        let follows = self.take(task, &String::from_utf8_lossy(&ended.stderr));
        if is_over {
            let missed = nodes.iter().filter(|node| !follows.contains_key(&node.name));
            self.miss(missed.map(|node| node.name.as_str()), ended);
        }
        let judged = |node: &&Member| match follows.get(&node.name) {
            None if is_over => Judged::Done,
            None => Judged::Waiting,
            Some(true) => Judged::GoesOn,
            Some(false) => Judged::Done,
        };
        nodes.iter().map(judged).collect()
    }

    fn leave_alone_until(&self, node: &Member) -> Option<Instant> {
        self.memory().known.get(&node.name)?.busy_until
    }

    fn is_on_the_way(&self, node: &Member) -> bool {
        let memory = self.memory();
        let known = memory.known.get(&node.name);
        known.is_some_and(|known| known.refusal.is_none() && system::is_on_the_way(&known.state))
    }

    fn classify_one(&self, node: &Member, _ended: &Ended) -> Option<(FailureKind, String)> {
        let memory = self.memory();
        let refusal = memory.known.get(&node.name)?.refusal.as_ref()?;
        Some((refusal.kind, refusal.words.clone()))
    }

    fn why_unknown(&self, node: &Member, _ended: &Ended) -> (FailureKind, &'static str) {
        let kind =
            self.memory().known.get(&node.name).and_then(|known| known.refusal.as_ref().map(|one| one.kind));
        (kind.unwrap_or(FailureKind::Failed), "")
    }

    fn is_answer(&self, node: &Member, _ended: &Ended) -> bool {
        let memory = self.memory();
        let known = memory.known.get(&node.name);
        known.is_some_and(|known| known.refusal.is_none() && system::is_state(&known.state))
    }

    /// What is said of a system that stands otherwise than any, and by what speaks no Redfish at all.
    fn is_strange(&self, node: &Member, _ended: &Ended) -> bool {
        let memory = self.memory();
        memory.known.get(&node.name).is_some_and(|known| match &known.refusal {
            Some(refusal) => refusal.is_strange,
            None => !system::is_state(&known.state),
        })
    }

    fn state(&self, node: &Member) -> Option<String> {
        let memory = self.memory();
        let known = memory.known.get(&node.name).filter(|known| known.refusal.is_none())?;
        let hint =
            if system::is_state(&known.state) { "" } else { ", and is understood when it says On or Off" };
        Some(format!("the BMC says {}{hint}", known.state))
    }

    fn machine(&self, node: &Member) -> Option<String> {
        self.memory().known.get(&node.name)?.uuid.clone()
    }

    fn unallowed(&self, node: &Member, task: Task) -> Option<String> {
        let memory = self.memory();
        memory.known.get(&node.name)?.unallowed(&self.wanted(task)).map(|refusal| refusal.words)
    }

    fn program(&self) -> Option<&str> {
        Some(&self.settings.program)
    }

    fn version(&self) -> Option<ProgramVersion> {
        Some(version_of(&self.settings.program))
    }

    fn attribute(&self) -> Option<&str> {
        Some(&self.settings.bmc)
    }

    fn attributes(&self) -> Vec<&str> {
        vec![&self.settings.bmc, &self.settings.system]
    }

    fn unfit(&self, node: &Member, address: &str) -> Option<String> {
        Address::parse(address).err().or_else(|| self.named_system(node).err())
    }

    fn host<'a>(&self, address: &'a str) -> &'a str {
        Address::parse(address).map_or(address, |address| address.host)
    }

    fn apart(&self, node: &Member, address: &str) -> String {
        let service = Address::parse(address).map(|address| address.service()).unwrap_or_default();
        let system = self.named_system(node).ok().flatten().unwrap_or_default();
        format!("{service} {system}")
    }

    fn service(&self, address: &str) -> Option<String> {
        Address::parse(address).ok().map(|address| address.service())
    }

    fn names_system(&self, node: &Member) -> bool {
        matches!(self.named_system(node), Ok(Some(_)))
    }

    fn password_file(&self) -> Option<&Path> {
        Some(&self.settings.password_file)
    }

    fn trusted_file(&self) -> Option<(&'static str, &Path)> {
        self.settings.ca_file.as_deref().map(|file| ("power.ca_file", file))
    }

    fn remark(&self) -> Option<String> {
        self.settings.insecure.then(|| of_insecure("power.insecure"))
    }
}
