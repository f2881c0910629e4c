//! The steps of a release, made from what is found on this host, so that undoing them leads back there.

use crate::args::Part;
use crate::inuse::{self, Manner};
use orderly_exec::job::show;
use orderly_host::action::Action;
use orderly_host::asset::State;
use orderly_host::boot;
use orderly_host::config::{Config, Control, Kind, Platform};
use orderly_host::machine::Machine;
use orderly_host::machine::way_back;
use orderly_host::mountinfo::Mounts;
use orderly_host::mounts::{MountSpec, deepest_first, loopback_mount};
use orderly_host::{addresses, services, shares};
use orderly_plan::owed::Source;
use orderly_plan::step::{Plan, Step, StepName, Undo};

/// What was found: the plan, and everything that speaks against carrying it out.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) plan: Plan<Action>,
    /// Each a reason to refuse, with its remedy.
    pub(crate) against: Vec<String>,
    /// What is worth knowing beforehand.
    pub(crate) notes: Vec<String>,
}

impl Found {
    /// Makes a plan of which nothing is taken back: a service that is started again on a host that a
    /// cluster manager is about to power off would lose what it writes. A backup leaves nothing to take back, so one
    /// that fails still refuses the release.
    pub(crate) fn never_unwind(&mut self) {
        for step in self.plan.steps.iter_mut().filter(|step| step.action != Action::Backup) {
            step.undo = Undo::Never;
        }
    }
}

/// Looks at this host and makes the plan. Changes nothing.
pub(crate) fn find(machine: &mut Machine<'_>, left_out: &[Part], manner: Manner) -> Found {
    let mut maker = Maker { steps: Vec::new(), against: Vec::new(), notes: Vec::new() };
    let wanted = |part| !left_out.contains(&part);
    let mounts = machine.mounts().unwrap_or_else(|error| {
        maker.against.push(format!("{error:#}"));
        Mounts::default()
    });
    let state = machine.asset_state();
    match &state {
        State::Elsewhere(why) => {
            let peer = &machine.config.peer.name;
            maker.against.push(format!("the asset is not here: {why}"));
            maker.against.push(format!("if {peer} holds it, release it there: ssh {peer} ha-release"));
            if way_back::may_have_it_back(machine) {
                maker.against.push(format!(
                    "this host held it when it went down; get it back by the word of {peer}: {}",
                    way_back::after_own_crash(machine)
                ));
            }
            if machine.config.peer.fence.is_some() {
                maker.against.push(format!(
                    "if {peer} died with it, power it off and take it here: ha-takeover --fence"
                ));
            }
            maker.against.push(format!(
                "if {peer} died with it and is powered off, take it here: ha-takeover --peer-down {peer}"
            ));
        }
        State::Unknown(why) => maker.against.push(format!("nobody can say who holds the asset: {why}")),
        State::Held | State::Free => {}
    }
    if state == State::Free
        && let Some(why) = machine.doubt()
    {
        // Safe would be a lie: the peer may have it mounted this very moment.
        maker.against.push(format!(
            "nobody can say who holds the asset: it is not held here and looks free, but {why}, and this host was not the last to release it"
        ));
        let peer = machine.config.peer.name.clone();
        if let Some(mount) = way_back::mount_line(machine) {
            maker.against.push(format!("if {peer} holds it, release it there: ssh {peer} ha-release"));
            maker.against.push(format!(
                "if neither host holds it, mount it here by hand and release it: ssh {peer} ha-release --status && {mount} && ha-release"
            ));
        }
    }
    if let Err(error) = machine.asset.identity(&mut machine.runner) {
        // A record that does not say of which asset it is would prove nothing in the end.
        maker.against.push(format!("the asset cannot be identified: {error:#}"));
    }
    if wanted(Part::Proof)
        && let Some(unread) = machine.asset_mounts().unread_clause()
    {
        // Found out when the asset is released, it would leave everybody with an asset that nobody may take.
        maker.against.push(format!(
            "that nothing here holds the asset could not be proven: {unread}; run it as root of this machine itself, \
             or use --skip proof, which is never safe"
        ));
    }
    if wanted(Part::Boot) {
        maker.boot(machine);
    }
    let owes = maker.owes(machine);
    if wanted(Part::Backup) && machine.config.backup.is_some() && state == State::Held && !owes {
        maker.step("backup".to_owned(), Action::Backup, Undo::Nothing);
    }
    if wanted(Part::Services) {
        maker.services(machine);
    }
    if manner == Manner::Kill {
        maker.step("end who uses it".to_owned(), Action::EndUsers, Undo::Nothing);
    }
    if wanted(Part::Addresses) {
        maker.addresses(machine);
    }
    if wanted(Part::Loopbacks) {
        maker.loopbacks(machine, &mounts);
    }
    if wanted(Part::Shares) {
        maker.shares(machine);
        if state == State::Held {
            maker.other_exports(machine, &mounts, manner);
        }
    }
    if wanted(Part::Asset) {
        if state == State::Held {
            maker.against.extend(machine.asset.against_releasing());
        }
        maker.asset(machine, &mounts);
        if !wanted(Part::Loopbacks) {
            maker.loopbacks_left(machine, &mounts);
        }
    } else if wanted(Part::Proof) && state == State::Held {
        maker.against.push(
            "--skip asset leaves the asset held here, so the proof would fail; do without --skip asset, or use \
             --skip asset,proof, which stops the services and is never safe"
                .to_owned(),
        );
    }
    // Proven while the asset can still be seen: what comes next may take it out of sight.
    if wanted(Part::Proof) {
        maker.step("proof".to_owned(), Action::Prove, Undo::Nothing);
    }
    if wanted(Part::Asset) {
        maker.detach(machine.config);
    }
    maker.holders(machine, manner);
    Found { plan: Plan { steps: maker.steps }, against: maker.against, notes: maker.notes }
}

struct Maker {
    steps: Vec<Step<Action>>,
    against: Vec<String>,
    notes: Vec<String>,
}

impl Maker {
    fn step(&mut self, name: String, action: Action, undo: Undo<Action>) {
        self.steps.push(Step { name: StepName(name), action, undo });
    }

    /// Tells whether a restore is due here: what is live is then older than the snapshot that is, and the
    /// record names that one.
    fn owes(&mut self, machine: &mut Machine<'_>) -> bool {
        let own = &machine.config.own.name;
        match machine.source_now() {
            Ok(Some(source)) if source.is_due(own) => {
                let Source { id, host, .. } = source;
                self.notes.push(format!("no backup is taken: this host has not restored {id} of {host} yet"));
                true
            }
            Ok(_) => false,
            Err(error) => {
                self.against.push(format!("{error:#}"));
                false
            }
        }
    }

    fn boot(&mut self, machine: &mut Machine<'_>) {
        let config = machine.config;
        let device = match &config.asset.kind {
            Kind::Filesystem { device } => Some(device.as_str()),
            Kind::Bind { .. } | Kind::Command { .. } | Kind::Lvm { .. } | Kind::Zfs { .. } => None,
        };
        let mut takers = boot::takers(config, device);
        takers.extend(machine.asset.takers(&mut machine.runner));
        takers.sort();
        takers.dedup();
        self.against.extend(takers.into_iter().map(|taker| format!("{taker}; or use --skip boot")));
    }

    /// A service that is down stays in the plan: it must still be down at the end.
    fn services(&mut self, machine: &mut Machine<'_>) {
        for service in &machine.config.services {
            let name = service.name.clone();
            if let Control::Unit(unit) = &service.control
                && let Some(by) = boot::wanted(unit)
            {
                machine.notes.push(format!(
                    "{unit} is wanted by {by}, so it starts at boot, with the asset or without; systemctl disable {unit}"
                ));
            }
            let undo = match services::state(service, &mut machine.runner) {
                services::State::Up => Undo::Action(Action::StartService { service: name.clone() }),
                services::State::Down => Undo::Nothing,
                services::State::Unknown(why) => {
                    self.against.push(format!("service {name}: nobody can say whether it runs: {why}"));
                    continue;
                }
            };
            self.step(format!("stop {name}"), Action::StopService { service: name }, undo);
        }
    }

    fn addresses(&mut self, machine: &mut Machine<'_>) {
        for address in &machine.config.addresses {
            match addresses::find(address, machine.config.platform, &mut machine.runner) {
                Ok(None) => {}
                Ok(Some(found)) if found.device != address.device => self.against.push(format!(
                    "address {} is on {}, and not on {} as configured; mend that, or use --skip addresses",
                    found.cidr, found.device, address.device
                )),
                Ok(Some(found)) => {
                    let cidr = found.cidr;
                    let undo = Undo::Action(Action::AddAddress { cidr: cidr.clone() });
                    self.step(format!("remove {cidr}"), Action::RemoveAddress { cidr }, undo);
                }
                Err(why) => {
                    self.against.push(format!("address {}: {why}; or use --skip addresses", address.cidr));
                }
            }
        }
    }

    fn loopbacks(&mut self, machine: &Machine<'_>, mounts: &Mounts) {
        for loopback in
            deepest_first(machine.config.loopbacks.iter().collect(), |loopback| loopback.at.clone())
        {
            let at = loopback.at.clone();
            match (loopback_mount(machine.asset.as_ref(), loopback, mounts), mounts.at(&at)) {
                (Some(mount), _) => {
                    let found = MountSpec::loopback_as_found(loopback, mount, mounts);
                    let undo = Undo::Action(Action::Mount { mount: found });
                    self.step(format!("unmount {}", at.display()), Action::Unmount { at }, undo);
                }
                (None, Some(other)) => self.notes.push(format!(
                    "{} is mounted at {}, not {}; it is left alone",
                    other.source.display(),
                    at.display(),
                    loopback.source.display()
                )),
                (None, None) => {}
            }
        }
    }

    /// A loopback that is left out keeps the asset busy, unless the asset takes its mounts along.
    fn loopbacks_left(&mut self, machine: &Machine<'_>, mounts: &Mounts) {
        let goes_by_itself = self
            .steps
            .iter()
            .any(|step| matches!(&step.action, Action::Release { mounts } if machine.goes_by_itself(mounts)));
        if goes_by_itself {
            return;
        }
        for loopback in &machine.config.loopbacks {
            if loopback_mount(machine.asset.as_ref(), loopback, mounts).is_some() {
                let at = show(&[loopback.at.display().to_string()]);
                self.against.push(format!(
                    "{at} is mounted and keeps the asset busy; umount {at}, or do without --skip loopbacks"
                ));
            }
        }
    }

    fn shares(&mut self, machine: &mut Machine<'_>) {
        for share in &machine.config.shares {
            let path = share.path.clone();
            match shares::found(share, machine.config.platform, &mut machine.runner) {
                Ok(exports) if exports.is_empty() => {}
                Ok(exports) => {
                    let undo = Undo::Action(Action::Share { path: path.clone(), exports: exports.clone() });
                    self.step(format!("unshare {}", path.display()), Action::Unshare { path, exports }, undo);
                }
                Err(error) => {
                    self.against.push(format!("share {}: {error:#}; or use --skip shares", path.display()));
                }
            }
        }
    }

    /// Exports of the asset that nobody configured would be gone, and back on no host. What is configured tells
    /// whether they can be listed at all.
    fn other_exports(&mut self, machine: &mut Machine<'_>, mounts: &Mounts, manner: Manner) {
        let config = machine.config;
        if config.platform == Platform::Solaris {
            return;
        }
        let all = match shares::all(config.asset.timeout, &mut machine.runner) {
            Ok(all) => all,
            Err(error) => {
                self.notes.push(format!("what else is exported is unknown: {error:#}"));
                return;
            }
        };
        for (path, export) in all {
            let is_on = mounts.covering(&path).is_some_and(|mount| machine.asset.is_on(mount));
            if !is_on || config.shares.iter().any(|share| share.path == path) {
                continue;
            }
            let pair = show(&[format!("{}:{}", export.client, path.display())]);
            let line = format!(
                "{} is on the asset, is exported, and is not configured; exportfs -u {pair}, or add a [[share]], or use --skip shares",
                path.display()
            );
            if manner == Manner::List { self.notes.push(line) } else { self.against.push(line) }
        }
    }

    fn asset(&mut self, machine: &mut Machine<'_>, mounts: &Mounts) {
        let config = machine.config;
        let found = machine.asset.found_mounts(mounts, &mut machine.runner).transpose();
        let found = found.unwrap_or_else(|error| {
            self.against.push(format!("what is mounted of the asset: {error:#}"));
            None
        });
        let configured = || {
            config
                .asset
                .mounts
                .iter()
                .filter_map(|table| {
                    let mount = mounts.at(&table.at)?;
                    let spec = orderly_host::mounts::configured(machine.asset.as_ref(), table);
                    (spec.what.is_none() || machine.asset.is_on(mount)).then(|| spec.as_found(mount))
                })
                .collect()
        };
        let specs: Vec<MountSpec> = found.unwrap_or_else(configured);
        let title = machine.asset.title();
        self.step(
            format!("release {title}"),
            Action::Release { mounts: specs.clone() },
            Undo::UntilDone(Action::Retake { mounts: specs }),
        );
    }

    fn detach(&mut self, config: &Config) {
        for (index, argv) in config.asset.after_release.iter().enumerate() {
            self.step(
                format!("after release {}", index + 1),
                Action::Run { argv: argv.clone() },
                Undo::Nothing,
            );
        }
        if let Some(argv) = &config.asset.detach {
            self.step("detach".to_owned(), Action::Run { argv: argv.clone() }, Undo::Nothing);
        }
    }

    /// Lists who uses the asset now; refuses for what the services do not take along when they stop.
    fn holders(&mut self, machine: &mut Machine<'_>, manner: Manner) {
        let users = machine.users();
        let found = inuse::judge(&users, machine.config, manner);
        self.against.extend(found.against);
        self.notes.extend(found.notes);
        let hidden = machine.asset.hidden(&mut machine.runner);
        self.notes.extend(hidden.map(|why| format!("in use now: {why}")));
    }
}
