//! `--check-config`: the configuration alone, checked by each of the three programs that read it.

use bed::Bed;

const PROGRAMS: [&str; 3] = ["habackup", "ha-release", "ha-takeover"];

const PAIR: &str = r#"
[[host]]
name = "ec1"
fence = ["ipmitool", "-P", "secret"]
fence_status = ["ipmitool", "status"]
[[host]]
name = "ec2"
[asset]
kind = "filesystem"
device = "/dev/none"
[[asset.mount]]
at = "/srv/none"
"#;

#[test]
fn all_errors_of_ha_toml_are_reported_at_once() {
    let bed = Bed::new();
    bed.config("ha.toml", PAIR.replace("kind", "keep = 7\ntimeout = \"soon\"\nkind"));
    for program in PROGRAMS {
        let wrong = bed.program(program).arg("--check-config").status(3).env("ORDERLY_HOST", "ec1");
        wrong.stderr_contains("unknown key asset.keep").stderr_contains("\"soon\" is not a duration").run();
        let json = bed.program(program).args(["--check-config", "--json"]).env("ORDERLY_HOST", "ec1");
        let failure = json.status(3).any_stdout().any_stderr().run().json();
        assert_eq!(
            (failure["format"].as_str(), failure["record"].as_str()),
            (Some("orderly-config/1"), Some("failure"))
        );
    }
}

/// Neither the asset nor anything else is looked at: no program is there that could be run, and no state is kept.
#[test]
fn a_configuration_that_is_valid_is_reported_with_the_same_digest_on_both_hosts() {
    let bed = Bed::new();
    bed.config("ha.toml", PAIR);
    let report = |program: &str, host: &str| {
        let run = bed.program(program).args(["--check-config", "--json"]).env("ORDERLY_HOST", host);
        run.any_stdout().any_stderr().run().json()
    };
    let (one, two) = (report("ha-takeover", "ec1"), report("ha-release", "ec2"));
    assert_eq!((one["host"].as_str(), one["peer"].as_str()), (Some("ec1"), Some("ec2")));
    assert_eq!(
        (one["digest"].clone(), one["settings"].clone()),
        (two["digest"].clone(), two["settings"].clone())
    );
    assert_eq!(one["settings"]["asset.timeout"], "120s");
    assert!(!one.to_string().contains("secret"), "{one}");
    let digest = one["digest"].as_str().unwrap();
    for program in PROGRAMS {
        let said = bed
            .program(program)
            .arg("--check-config")
            .env("ORDERLY_HOST", "ec2")
            .any_stderr()
            .any_stdout()
            .run();
        let valid = format!(
            "{}/etc/ha.toml is valid: this host is ec2, its peer ec1; digest {digest}\n",
            bed.root().display()
        );
        assert_eq!(said.stdout, valid);
        let warns = said.stderr.contains("it has no [backup] table, so nothing is backed up");
        assert_eq!(warns, program == "habackup", "{}", said.stderr);
        for other in ["--status", "--list", "--dry-run", "--timeout=3"] {
            bed.program(program).args(["--check-config", other]).status(2).any_stderr().run();
        }
    }
    assert_eq!(std::fs::read_dir(bed.path("state")).unwrap().count(), 0);
}
