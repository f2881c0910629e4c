//! Which unit or container a process belongs to, as its control groups name it.

/// Reads `/proc/PID/cgroup`: the nearest unit of systemd, else the container. On a host with version 1
/// only some of the lines name it.
pub(super) fn of(text: &str) -> Option<String> {
    let paths = || text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let parts = || paths().flat_map(|path| path.rsplit('/'));
    let is_unit = |part: &&str| part.ends_with(".service") || part.ends_with(".scope");
    parts().find(is_unit).map(str::to_owned).or_else(|| parts().find_map(container))
}

/// Docker and the like call a group by the number of the container, LXC by its name.
fn container(part: &str) -> Option<String> {
    let is_number = part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_number {
        return part.get(..12).map(|number| format!("container {number}"));
    }
    part.strip_prefix("lxc.payload.").map(|name| format!("container {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where version 1 is in use, the first line is of a controller that knows nothing of units, and
    /// no holder had one.
    #[test]
    fn the_unit_is_found_in_whatever_line_names_it() {
        let unified = "0::/system.slice/nginx.service\n";
        let below = "0::/system.slice/app.service/worker/x\n";
        let legacy = "12:cpuset:/\n4:memory:/system.slice/nginx.service\n1:name=systemd:/system.slice/nginx.service\n0::/\n";
        assert_eq!(of(unified).as_deref(), Some("nginx.service"));
        assert_eq!(of(below).as_deref(), Some("app.service"));
        assert_eq!(of(legacy).as_deref(), Some("nginx.service"));
        assert_eq!(of("1:name=systemd:/user.slice/session-3.scope\n").as_deref(), Some("session-3.scope"));
        assert_eq!(of("12:cpuset:/\n0::/\n"), None);
        assert_eq!(of("nonsense"), None);
    }

    #[test]
    fn a_container_without_a_unit_is_named() {
        let id = "0123456789abcdef".repeat(4);
        assert_eq!(of(&format!("5:memory:/docker/{id}\n")).as_deref(), Some("container 0123456789ab"));
        assert_eq!(of("0::/lxc.payload.web/init.scope\n").as_deref(), Some("init.scope"));
        assert_eq!(of("0::/lxc.payload.web\n").as_deref(), Some("container web"));
    }
}
