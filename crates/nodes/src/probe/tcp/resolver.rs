//! Names to addresses, beside the loop: a name server that is down must hold up nobody else.

use anyhow::Context;
use orderly_exec::children::{Children, Writable};
use std::collections::{HashMap, HashSet};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

/// How many names are asked for at once.
const THREADS: usize = 8;

/// A few threads that ask the system's resolver.
#[derive(Debug)]
pub(super) struct NameResolver {
    names: Sender<String>,
    found: Receiver<(String, Vec<IpAddr>)>,
    bell: UnixStream,
    watch: u64,
    known: HashMap<String, Vec<IpAddr>>,
    waiting: HashMap<String, Vec<u64>>,
    asked: HashSet<String>,
}

impl NameResolver {
    pub(super) fn new(children: &mut Children) -> anyhow::Result<Self> {
        let (bell, ringer) = UnixStream::pair().context("make the resolver's bell")?;
        let (names, queue) = channel::<String>();
        let (answers, found) = channel();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..THREADS {
            let (queue, answers) = (Arc::clone(&queue), answers.clone());
            let ringer = ringer.try_clone().context("copy the resolver's bell")?;
            std::thread::Builder::new()
                .name("resolver".into())
                .spawn(move || resolve(&queue, &answers, ringer))
                .context("start a resolver thread")?;
        }
        let watch = children.watch(&bell, Writable::No)?;
        Ok(Self {
            names,
            found,
            bell,
            watch,
            known: HashMap::new(),
            waiting: HashMap::new(),
            asked: HashSet::new(),
        })
    }

    /// Returns the addresses of a name that was found before.
    pub(super) fn known(&self, name: &str) -> Option<&[IpAddr]> {
        self.known.get(name).map(Vec::as_slice)
    }

    /// Makes a name known.
    #[cfg(test)]
    pub(super) fn remember(&mut self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        self.known.insert(name.to_owned(), addresses);
    }

    /// Asks for a name on behalf of an attempt.
    pub(super) fn ask(&mut self, attempt: u64, name: &str) {
        self.waiting.entry(name.to_owned()).or_default().push(attempt);
        if self.asked.insert(name.to_owned()) {
            // The threads live as long as this; if one cannot be told, the attempt's limit speaks.
            self.names.send(name.to_owned()).ok();
        }
    }

    pub(super) fn is_watched_as(&self, watch: u64) -> bool {
        self.watch == watch
    }

    /// Returns the attempts whose name was looked up, with its addresses; none where it is not found.
    pub(super) fn take(&mut self, children: &mut Children) -> Vec<(u64, Vec<IpAddr>)> {
        let mut bytes = [0u8; 512];
        match self.bell.read(&mut bytes) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Vec::new(),
        }
        let mut answers = Vec::new();
        while let Ok((name, found)) = self.found.try_recv() {
            self.asked.remove(&name);
            let waiting = self.waiting.remove(&name).unwrap_or_default();
            answers.extend(waiting.into_iter().map(|attempt| (attempt, found.clone())));
            if !found.is_empty() {
                self.known.insert(name, found);
            }
        }
        if let Ok(watch) = children.watch(&self.bell, Writable::No) {
            self.watch = watch;
        }
        answers
    }
}

fn resolve(queue: &Mutex<Receiver<String>>, answers: &Sender<(String, Vec<IpAddr>)>, mut ringer: UnixStream) {
    loop {
        let name = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(name) = name else { return };
        let mut found = Vec::new();
        for address in (name.as_str(), 0).to_socket_addrs().into_iter().flatten() {
            if !found.contains(&address.ip()) {
                found.push(address.ip());
            }
        }
        if answers.send((name, found)).is_err() || ringer.write_all(b".").is_err() {
            return;
        }
    }
}
