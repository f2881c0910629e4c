//! The tables of failure scenarios and of drivers against the tests and guards they name: what they promise
//! is there.

use bed::binaries::workspace;
use std::path::PathBuf;

fn table() -> String {
    std::fs::read_to_string(workspace().join("tests/scenarios.md")).unwrap()
}

/// Returns what stands in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Tells whether a test of this path exists: a scenario, or a test of a crate (`module::tests::name`).
fn exists(test: &str) -> bool {
    let Some((module, name)) = test.rsplit_once("::") else { return false };
    let files = match module.split_once("::") {
        None => vec![format!("tests/scenarios/{module}.rs")],
        Some((file, _)) => {
            let paths =
                [file, module, module.trim_end_matches("::tests")].map(|path| path.replace("::", "/"));
            let crates = ["host", "nodes", "plan"].iter();
            crates
                .flat_map(|name| paths.each_ref().map(|path| format!("crates/{name}/src/{path}.rs")))
                .collect()
        }
    };
    files.iter().any(|file| {
        let text = std::fs::read_to_string(workspace().join(file)).unwrap_or_default();
        text.contains(&format!("fn {name}()"))
    })
}

#[test]
fn every_test_of_the_table_of_drivers_is_there() {
    let table = std::fs::read_to_string(workspace().join("tests/drivers.md")).unwrap();
    let tests: Vec<&str> =
        quoted(&table).filter(|word| word.contains("::") && *word != "file::test").collect();
    assert!(tests.len() > 40, "{}", tests.len());
    let missing: Vec<&&str> = tests.iter().filter(|test| !exists(test)).collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
    // Every driver that cluster.toml knows has its line, but for the imagined ones.
    for driver in ["powerman", "ipmitool", "ipmipower", "command", "ssh", "clush", "pdsh", "tcp"] {
        assert!(table.contains(&format!("\n| `{driver}` | ")), "{driver}");
    }
}

#[test]
fn every_test_and_guard_of_the_table_is_there() {
    let table = table();
    let tests = quoted(&table).filter(|word| word.contains("::") && !word.contains(' '));
    let tests: Vec<&str> = tests.filter(|word| *word != "file::test").collect();
    assert!(tests.len() > 60, "{}", tests.len());
    let missing: Vec<&&str> = tests.iter().filter(|test| !exists(test)).collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
    // A line of the table is `| number | what | tests | against | guard |`.
    let rows = table.lines().filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit());
    let rows: Vec<Vec<&str>> = rows.map(|row| row.split(" | ").collect()).collect();
    assert!(rows.len() >= 25, "{}", rows.len());
    for guard in rows.iter().filter_map(|row| row.get(4)) {
        for (file, functions) in guard.split("; ").filter_map(|part| part.split_once(": ")) {
            let file = file.trim_matches(['`', '|', ' ']);
            let text = std::fs::read_to_string(workspace().join(file)).unwrap_or_default();
            for function in quoted(functions) {
                let name = function.rsplit("::").next().unwrap();
                assert!(text.contains(&format!("fn {name}(")), "no {function} in {file}");
            }
        }
    }
}

/// A patch that no longer fits takes nothing out, and `make guards` would only say so later.
#[test]
fn every_guard_that_is_taken_out_is_still_in() {
    let table = table();
    let folder = std::fs::read_dir(workspace().join("tests/guards")).unwrap().flatten();
    let patches: Vec<PathBuf> = folder
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "patch"))
        .collect();
    assert!(patches.len() >= 24, "{}", patches.len());
    for patch in patches {
        let text = std::fs::read_to_string(&patch).unwrap();
        let test = text.lines().find_map(|line| line.strip_prefix("Test: ")).unwrap();
        assert!(exists(test) && table.contains(&format!("`{test}`")), "{}: {test}", patch.display());
        let mut file = String::new();
        for line in text.lines().skip_while(|line| !line.starts_with("--- ")) {
            if let Some(path) = line.strip_prefix("--- a/") {
                file = std::fs::read_to_string(workspace().join(path)).unwrap();
            } else if let Some(taken) = line.strip_prefix('-') {
                assert!(file.lines().any(|found| found == taken), "{}: {taken}", patch.display());
            }
        }
    }
}
