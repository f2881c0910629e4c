//! The `[asset]` table: what changes hands, by kind, and where it is mounted.

use super::{Argv, MINUTE, Platform};
use orderly_exec::settings::Table;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is said about the asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AssetTable {
    pub kind: Kind,
    pub timeout: Duration,
    /// Run in order before the asset is taken.
    pub before_take: Vec<Argv>,
    /// Run in order after the asset was let go.
    pub after_release: Vec<Argv>,
    /// What physically detaches it.
    pub detach: Option<Argv>,
    /// In mount order.
    pub mounts: Vec<MountTable>,
}

/// The kind of the asset with what is special to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Kind {
    /// A folder that is bind mounted; for demonstrations and tests.
    Bind { source: PathBuf },
    /// A file system on a device both hosts see.
    Filesystem { device: String },
    /// An LVM volume group on devices both hosts see.
    Lvm { group: String },
    /// A ZFS pool.
    Zfs {
        pool: String,
        /// The pool of that name that is meant, where there may be several.
        guid: Option<u64>,
        /// Folders of devices, or devices, in which the pool is looked for.
        devices: Vec<String>,
        /// Whether it may be taken while devices of it are missing. What one host must make do with
        /// does not make its configuration another one.
        #[serde(skip)]
        degraded: bool,
    },
    /// Anything, through commands.
    Command {
        identity: Argv,
        state: Argv,
        mark: Option<Argv>,
        take: Argv,
        take_dead: Option<Argv>,
        release: Option<Argv>,
    },
}

/// One mount of the asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MountTable {
    /// What is mounted, where the kind does not say it.
    pub volume: Option<String>,
    pub at: PathBuf,
    pub fstype: Option<String>,
    pub options: Option<String>,
}

impl MountTable {
    /// Tells whether its options ask for a mount that nothing is written to.
    pub fn is_read_only(&self) -> bool {
        self.options.as_deref().is_some_and(asks_read_only)
    }
}

/// Tells whether options of mount(8) ask for a read-only mount; the last word counts.
pub(crate) fn asks_read_only(options: &str) -> bool {
    options.split(',').map(str::trim).rfind(|option| ["ro", "rw"].contains(option)) == Some("ro")
}

impl AssetTable {
    /// Tells whether the asset has mounts, and nothing is to be written to any of them.
    pub fn is_read_only(&self) -> bool {
        !self.mounts.is_empty() && self.mounts.iter().all(MountTable::is_read_only)
    }

    /// Tells whether a place lies within a mount of the asset, and so is there only while it is mounted.
    pub fn has_within(&self, at: &Path) -> bool {
        self.mounts.iter().any(|mount| mount.at != at && at.starts_with(&mount.at))
    }
}

/// Reads `[asset]` and remembers what is wrong with it.
pub(super) fn read(root: &Table<'_>, platform: Platform) -> Option<AssetTable> {
    root.need("asset");
    let table = root.table("asset")?;
    table.need("kind");
    let word = table.word("kind", &["bind", "filesystem", "command", "zfs", "lvm"]);
    let mounts = read_mounts(&table);
    if platform == Platform::Solaris
        && let Some(linux @ ("bind" | "filesystem" | "lvm")) = word
    {
        let message = format!("{}: {linux} is for linux; on solaris use zfs or command", table.named("kind"));
        table.reject("kind", message);
    }
    let kind = match word {
        Some("bind") => read_bind(&table, &mounts),
        Some("filesystem") => read_filesystem(&table, &mounts),
        Some("lvm") => read_lvm(&table, &mounts),
        Some("command") => read_command(&table),
        Some("zfs") => {
            if platform == Platform::Solaris {
                check_solaris_mounts(&table, &mounts);
            }
            read_zfs(&table, &mounts)
        }
        // `word` has rejected any other.
        Some(_) | None => None,
    };
    let asset = kind.map(|kind| AssetTable {
        kind,
        timeout: table.limit("timeout").unwrap_or(2 * MINUTE),
        before_take: table.argvs("before_take").unwrap_or_default(),
        after_release: table.argvs("after_release").unwrap_or_default(),
        detach: table.argv("detach"),
        mounts,
    });
    // A kind that is wrong leaves the keys of its own unasked; calling those unknown would mislead.
    if asset.is_some() {
        table.end();
    }
    asset
}

fn read_bind(table: &Table<'_>, mounts: &[MountTable]) -> Option<Kind> {
    table.need("source");
    let source = table.absolute_path("source")?;
    if mounts.len() != 1 {
        table.reject(
            "source",
            format!("{}: kind bind needs exactly one [[asset.mount]]", table.named("source")),
        );
    }
    for mount in mounts {
        if mount.at.starts_with(&source) || source.starts_with(&mount.at) {
            let message = format!(
                "{}: and the mount at {} cover one another",
                table.named("source"),
                mount.at.display()
            );
            table.reject("source", message);
        }
    }
    Some(Kind::Bind { source })
}

fn read_filesystem(table: &Table<'_>, mounts: &[MountTable]) -> Option<Kind> {
    let device = table.need_text("device")?;
    let named =
        device.strip_prefix("UUID=").is_some_and(|uuid| !uuid.is_empty() && uuid.bytes().all(is_uuid_byte));
    let plain = Path::new(&device).is_absolute() && !device.split('/').any(|part| part == "..");
    if !named && !plain {
        table.reject(
            "device",
            format!("{}: must be UUID=… or the absolute path of a device", table.named("device")),
        );
    }
    if mounts.is_empty() {
        table
            .reject("device", format!("{}: kind filesystem needs an [[asset.mount]]", table.named("device")));
    }
    Some(Kind::Filesystem { device })
}

/// What lvm(8) takes for the name of a group.
fn read_lvm(table: &Table<'_>, mounts: &[MountTable]) -> Option<Kind> {
    let group = table.need_text("group")?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "+_.-".contains(c);
    if group.is_empty() || group.starts_with(['-', '.']) || !group.chars().all(is_plain) {
        let message = format!("{}: \"{group}\" is not the name of a volume group", table.named("group"));
        table.reject("group", message);
    }
    for mount in mounts.iter().filter(|mount| mount.volume.is_none()) {
        let message = format!(
            "{}: the mount at {} does not say which volume",
            table.named("group"),
            mount.at.display()
        );
        table.reject("group", message);
    }
    Some(Kind::Lvm { group })
}

fn is_uuid_byte(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || byte == b'-'
}

/// Checks what zfs needs on Solaris beside what it needs everywhere.
fn check_solaris_mounts(table: &Table<'_>, mounts: &[MountTable]) {
    for mount in mounts.iter().filter(|mount| mount.volume.is_none() || mount.fstype.is_none()) {
        let message = format!(
            "{}: the mount at {} needs volume (a dataset with mountpoint=legacy) and fstype = \"zfs\"",
            table.named("mount"),
            mount.at.display()
        );
        table.reject("mount", message);
    }
}

/// Where udev links every disk under a name that is alike on both hosts.
const DEVICES: &str = "/dev/disk/by-id";

fn read_zfs(table: &Table<'_>, mounts: &[MountTable]) -> Option<Kind> {
    let pool = table.need_text("pool")?;
    let is_name = pool.starts_with(|c: char| c.is_ascii_alphabetic())
        && pool.chars().all(|c| c.is_ascii_alphanumeric() || "-_.: ".contains(c));
    if !is_name {
        table.reject("pool", format!("{}: \"{pool}\" is not the name of a pool", table.named("pool")));
    }
    let guid = table.text("guid").and_then(|text| {
        let guid = text.parse().ok();
        if guid.is_none() {
            table.reject(
                "guid",
                format!("{}: must be the number that zpool get guid prints, in quotes", table.named("guid")),
            );
        }
        guid
    });
    let devices = table.texts("devices").unwrap_or_else(|| vec![DEVICES.to_owned()]);
    for device in &devices {
        if !Path::new(device).is_absolute() || device.split('/').any(|part| part == "..") {
            table.reject(
                "devices",
                format!("{}: \"{device}\" must be an absolute path without \"..\"", table.named("devices")),
            );
        }
    }
    for mount in mounts {
        let ours = |volume: &String| {
            *volume == pool || volume.strip_prefix(&pool).is_some_and(|rest| rest.starts_with('/'))
        };
        if mount.volume.as_ref().is_some_and(|volume| !ours(volume)) {
            let message =
                format!("{}: the volume mounted at {} is not in it", table.named("pool"), mount.at.display());
            table.reject("pool", message);
        }
    }
    let degraded = table.flag("degraded").unwrap_or(false);
    Some(Kind::Zfs { pool, guid, devices, degraded })
}

fn read_command(table: &Table<'_>) -> Option<Kind> {
    for key in ["identity", "state", "take"] {
        table.need(key);
    }
    let (mark, take_dead, release) = (table.argv("mark"), table.argv("take_dead"), table.argv("release"));
    let (identity, state, take) = (table.argv("identity"), table.argv("state"), table.argv("take"));
    Some(Kind::Command { identity: identity?, state: state?, mark, take: take?, take_dead, release })
}

fn read_mounts(table: &Table<'_>) -> Vec<MountTable> {
    let mut mounts: Vec<MountTable> = Vec::new();
    for entry in table.tables("mount") {
        entry.need("at");
        let (volume, fstype, options) = (entry.text("volume"), entry.text("fstype"), entry.text("options"));
        if let Some(at) = entry.absolute_path("at") {
            if at == Path::new("/") || mounts.iter().any(|mount| mount.at == at) {
                entry.reject("at", format!("{}: {} is taken", entry.named("at"), at.display()));
            }
            mounts.push(MountTable { volume, at, fstype, options });
        }
        entry.end();
    }
    mounts
}
