# What people do with Orderly. `.ci/run` calls the same targets.

PREFIX      = /usr/local
DESTDIR     =
SBINDIR     = $(PREFIX)/sbin
MANDIR      = $(PREFIX)/share/man
DOCDIR      = $(PREFIX)/share/doc/orderly
UNITDIR     = $(PREFIX)/lib/systemd/system
BASHCOMPDIR = $(PREFIX)/share/bash-completion/completions
ZSHCOMPDIR  = $(PREFIX)/share/zsh/site-functions
FISHCOMPDIR = $(PREFIX)/share/fish/vendor_completions.d
# cron and Pacemaker look in one place each, whatever the prefix is. Below a prefix of one's own everything is below it.
APART       = $(if $(filter /usr /usr/local,$(PREFIX)),,$(PREFIX))
SYSCONFDIR  = $(APART)/etc
OCFDIR      = $(or $(APART),/usr)/lib/ocf/resource.d
CARGO       = cargo
INSTALL     = install

PROGRAMS = seqfile cstartup cshutdown habackup ha-release ha-takeover
VERSION  = $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
BUILT    = $${CARGO_TARGET_DIR:-target}/release

.PHONY: all demo test soak guards lab-test bench check man-lint install uninstall completions deb clean

all:
	$(CARGO) build --locked --release --workspace --bins

# Builds everything and shows the main job end to end: no root, no cluster, no network.
demo: all
	BIN_DIR="$(BUILT)" packaging/demo.sh

# Installs what the tests need (as root, where apt-get is), then runs them all.
# Two threads a core: most tests wait, for daemons, deadlines and processes.
test:
	packaging/test-needs.sh
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-$$(($$(getconf _NPROCESSORS_ONLN) * 2))} $(CARGO) test --locked --workspace

# The tests that kill and cut at every point instead of at some, and try 10,000 random orders; then every input format is
# fuzzed for FUZZ seconds (fuzz/run.sh; needs a C++ compiler). Takes long: three hours for the latter alone.
FUZZ = 600
soak:
	packaging/test-needs.sh
	PROPTEST_CASES=10000 $(CARGO) test --locked --release -p orderly-plan
	ORDERLY_SOAK=1 $(CARGO) test --locked --workspace
	fuzz/run.sh $(FUZZ)

# Hands a real ZFS pool, and then an LVM group, over between two real (emulated) machines, and pulls plugs;
# as root, on Debian.
# The first time it builds the machines (LAB_DIR, a quarter of an hour); then it takes half an hour or more.
# make lab-test LAB="busy hung" does only those.
LAB =
lab-test: all
	tests/lab/build.sh
	BIN_DIR="$(BUILT)" tests/lab/handover.sh $(LAB)
	@[ -n "$(LAB)" ] || BIN_DIR="$(BUILT)" tests/lab/lvm.sh

# Takes the guard of each failure scenario out (tests/scenarios.md), and sees its test fail; GUARDS names some.
guards:
	packaging/test-needs.sh
	GUARDS="$(GUARDS)" CARGO="$(CARGO)" tests/guards/run.sh

# How fast we are beside others on this machine: all of bench/, or one of it (make bench BENCH=plan).
BENCH = $(patsubst bench/%.py,%,$(filter-out bench/measure.py,$(wildcard bench/*.py))) backup
bench: all
	@for bench in $(BENCH); do \
		if [ -f bench/$$bench.sh ]; then BIN_DIR="$(BUILT)" sh bench/$$bench.sh || exit 1; \
		else BIN_DIR="$(BUILT)" python3 -B bench/$$bench.py || exit 1; fi; \
	done

check: man-lint
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
		echo "cargo deny check"; $(CARGO) deny check licenses bans sources; \
	else echo "did not run: cargo deny check: needs cargo-deny"; fi

# The scenario of the same name compares the pages with the programs; this looks at their language.
man-lint:
	@if command -v mandoc >/dev/null 2>&1; then \
		echo "mandoc -T lint man/*.[578]"; mandoc -T lint -W warning man/*.[578]; \
	else echo "did not run: man-lint: needs the program mandoc"; fi

FOLDERS = BIN_DIR="$(BUILT)" DESTDIR="$(DESTDIR)" SBINDIR="$(SBINDIR)" MANDIR="$(MANDIR)" DOCDIR="$(DOCDIR)" \
	SYSCONFDIR="$(SYSCONFDIR)" UNITDIR="$(UNITDIR)" OCFDIR="$(OCFDIR)" BASHCOMPDIR="$(BASHCOMPDIR)" \
	ZSHCOMPDIR="$(ZSHCOMPDIR)" FISHCOMPDIR="$(FISHCOMPDIR)" INSTALL="$(INSTALL)" PROGRAMS="$(PROGRAMS)"

install: all completions
	$(FOLDERS) packaging/install.sh

# Takes the same variables as install, and removes what that installed.
uninstall:
	$(FOLDERS) packaging/install.sh uninstall

# A Debian package, in target/; needs debhelper.
deb: all completions
	BIN_DIR="$(BUILT)" PROGRAMS="$(PROGRAMS)" VERSION="$(VERSION)" packaging/deb.sh

# Bash, zsh and fish complete the flags of all programs.
completions:
	$(CARGO) run --quiet --locked --release -p orderly-tests --example completions -- "$(BUILT)/completions"

clean:
	$(CARGO) clean
