//! Limits that hold for all runs of this machine together: driver processes, calls of a controller, nodes that boot, and
//! the time between two power-ons. Who only looks has them for itself.

use crate::booting::BootingClasses;
use crate::config::Cluster;
use orderly_exec::slots::{Pool, Slots};
use orderly_exec::{OrStatus, Status, paths};
use orderly_plan::drivers::TakenSlots;
use orderly_plan::inventory::Inventory;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How soon it is tried again to have what others have.
const PAUSE: Duration = Duration::from_millis(50);

/// What a run has of what is shared.
#[derive(Debug)]
pub(crate) struct SharedLimits {
    slots: Slots,
    /// Neither processes nor calls of controllers are counted any more.
    is_lifted: bool,
    processes: RefCell<Pool>,
    /// By value of the attribute that names a node's controller.
    controllers: RefCell<BTreeMap<usize, Pool>>,
    /// By class of nodes.
    booting: Vec<Pool>,
    power_on: Pool,
    stagger: Duration,
    /// Until when others wait after the last power-on of this run.
    until: Option<Instant>,
}

impl SharedLimits {
    /// Returns the limits of `cluster`, for this run alone.
    pub(crate) fn own(cluster: &Cluster, inventory: &Inventory) -> Self {
        let limits = &cluster.limits;
        let class = |name: &String| {
            let per = limits.booting_per.as_deref().unwrap_or_default();
            Pool::named(&format!("booting {per}={name}"), limits.booting.unwrap_or(usize::MAX))
        };
        let classes = BootingClasses::of(cluster, inventory);
        Self {
            slots: Slots::own(),
            is_lifted: false,
            processes: RefCell::new(Pool::named("fanout", limits.fanout.max(1))),
            controllers: RefCell::default(),
            booting: classes.names.iter().map(class).collect(),
            power_on: Pool::named("stagger", 1),
            stagger: limits.stagger,
            until: None,
        }
    }

    /// Shares them with all runs of this machine from now on, before anything is held.
    ///
    /// # Errors
    /// When the state directory cannot be used.
    pub(crate) fn share(&mut self) -> anyhow::Result<()> {
        self.slots =
            Slots::shared(&paths::state_directory().join("slots.lock")).or_status(Status::Refused)?;
        Ok(())
    }

    /// Counts neither processes nor calls of controllers any more.
    pub(crate) fn lift(&mut self) {
        self.is_lifted = true;
    }

    /// Holds so many driver processes; returns how many it has.
    pub(crate) fn processes(&self, wanted: usize) -> usize {
        if self.is_lifted {
            return wanted;
        }
        self.slots.hold(&mut self.processes.borrow_mut(), wanted)
    }

    /// Holds so many calls of a controller, which has a number here and a name that all know; returns how many it has.
    pub(crate) fn calls(&self, controller: usize, name: &str, most: usize, wanted: usize) -> usize {
        if self.is_lifted {
            return wanted;
        }
        let mut controllers = self.controllers.borrow_mut();
        let pool = controllers.entry(controller).or_insert_with(|| Pool::named(name, most));
        self.slots.hold(pool, wanted)
    }

    /// Holds so many nodes of a class that boot; returns how many it has.
    pub(crate) fn booting(&mut self, class: u32, wanted: usize) -> usize {
        match self.booting.get_mut(class as usize) {
            Some(pool) => self.slots.hold(pool, wanted),
            None => wanted,
        }
    }

    /// Tells whether a node may be powered on now, as far as other runs are concerned.
    pub(crate) fn may_power_on(&mut self) -> bool {
        self.slots.hold(&mut self.power_on, 1) == 1
    }

    /// Takes note that one was: others wait from now on.
    pub(crate) fn powered_on(&mut self) {
        self.until = Instant::now().checked_add(self.stagger);
    }

    /// Gives back what is no longer needed; `calls` returns how many of a controller run.
    pub(crate) fn settle(&mut self, processes: usize, calls: impl Fn(usize) -> usize) {
        self.slots.settle(&mut self.processes.borrow_mut(), processes);
        // What is not in use needs no pool.
        self.controllers.borrow_mut().retain(|controller, pool| {
            let needed = calls(*controller);
            self.slots.settle(pool, needed);
            needed > 0 || pool.is_wanting()
        });
        for pool in &mut self.booting {
            let held = pool.held();
            self.slots.settle(pool, held);
        }
        if self.until.is_none_or(|until| until <= Instant::now()) {
            self.until = None;
            self.slots.settle(&mut self.power_on, 0);
        }
    }

    /// Tells whether others have what was wanted since it was last waited for.
    pub(crate) fn is_held_back(&self) -> bool {
        self.slots.turned_away()
    }

    /// Returns what others have of what is wanted, and which processes.
    pub(crate) fn taken(&self) -> Vec<TakenSlots> {
        let one = |pool: &Pool, what: String| {
            let processes = if pool.is_wanting() { self.slots.holders(pool) } else { Vec::new() };
            (!processes.is_empty()).then_some(TakenSlots { what, processes })
        };
        let mut taken = Vec::new();
        taken.extend(one(&self.processes.borrow(), "driver processes (limits.fanout)".to_owned()));
        for pool in self.controllers.borrow().values() {
            taken.extend(one(pool, format!("calls at {} (limits.max)", pool.name())));
        }
        for pool in &self.booting {
            taken.extend(one(pool, "room for nodes that boot (limits.booting)".to_owned()));
        }
        taken.extend(one(&self.power_on, "the next power-on (limits.stagger)".to_owned()));
        taken
    }

    /// Takes note that what is wanted is counted anew.
    pub(crate) fn forget(&self) {
        self.slots.forget();
    }

    /// Returns when it is to be tried again, where others have what is wanted.
    pub(crate) fn again(&self) -> Option<Instant> {
        self.is_held_back().then(|| Instant::now() + PAUSE)
    }

    /// Returns until when other runs wait for their next power-on.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.until
    }
}
