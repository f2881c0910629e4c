//! The guards that `make guards` takes out, one by one: each can still be taken out of these sources, and names a test
//! that is there. A patch that fell behind was found hours later, or never.

use bed::binaries::workspace;
use bed::real::{self, Need};
use std::fs::{self, File};
use std::process::Command;

#[test]
fn every_guard_can_be_taken_out_and_names_its_test() {
    if !real::require(&[Need::Program("patch")]) {
        return;
    }
    let folder = workspace().join("tests/guards");
    let patches = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut wrong = Vec::new();
    let mut tried = 0;
    for path in patches.filter(|path| path.extension().is_some_and(|ext| ext == "patch")) {
        let text = fs::read_to_string(&path).unwrap();
        let field = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key));
            line.map(str::trim).filter(|value| !value.is_empty())
        };
        let shown = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some(((guard, test), _)) = field("Guard:").zip(field("Test:")).zip(field("Scenario:")) else {
            wrong.push(format!("{shown}: lacks its Scenario, Guard or Test"));
            continue;
        };
        let file = guard.split(':').next().unwrap_or_default();
        if !workspace().join(file).is_file() {
            wrong.push(format!("{shown}: its guard is in {file}, which is not there"));
        }
        let parts: Vec<&str> = test.split("::").collect();
        let (module, name) = (parts[0], parts[parts.len() - 1]);
        let scenario = workspace().join(format!("tests/scenarios/{module}.rs"));
        let is_there = field("Unit:").is_some()
            || fs::read_to_string(&scenario).is_ok_and(|source| source.contains(&format!("fn {name}(")));
        if !is_there {
            wrong.push(format!("{shown}: there is no test {test}"));
        }
        let applied = Command::new("patch")
            .args(["--dry-run", "--force", "-F", "3", "-p", "1", "-d"])
            .arg(workspace())
            .stdin(File::open(&path).unwrap())
            .output()
            .unwrap();
        if !applied.status.success() {
            wrong.push(format!("{shown}: does not apply: {}", String::from_utf8_lossy(&applied.stdout)));
        }
        tried += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried > 40, "only {tried} guards");
}
