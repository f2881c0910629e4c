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
RUSTC       = rustc
INSTALL     = install

PROGRAMS = seqfile cstartup cshutdown habackup ha-release ha-takeover
VERSION  = $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
TARGET   = $${CARGO_TARGET_DIR:-target}
BUILT    = $(TARGET)/release
STATIC   = $(shell uname -m)-unknown-linux-musl

.PHONY: all help demo test soak guards lab-test bench check man-lint deny install uninstall completions notices deb rpm static clean

# The first target: builds the programs, in target/release.
all:
	$(CARGO) build --locked --release --workspace --bins

help:
	@echo "make              builds the programs, in target/release"
	@echo "make demo         builds, and shows the main job end to end: no root, no cluster, no network"
	@echo "make install      installs below PREFIX=$(PREFIX), for a package below DESTDIR; uninstall removes it again"
	@echo "make deb          builds a Debian package, in target/; needs debhelper"
	@echo "make rpm          builds an RPM package of static programs, in target/; needs rpmbuild and what static needs"
	@echo "make static       builds programs that need no libraries; needs the target: rustup target add $(STATIC)"
	@echo "make test         installs what the tests need (as root, on Debian), and runs them all"
	@echo "make check        format, lints, documentation, manual pages, licences"
	@echo "make bench        how fast it is beside others; BENCH=plan for one of bench/; takes an hour"
	@echo "make soak         kills and cuts at every point, fuzzes every format; takes hours"
	@echo "make guards       takes each guard out and sees its test fail; GUARDS names some"
	@echo "make lab-test     hand-overs on two emulated machines (as root, on Debian); LAB names some"
	@echo "make clean        removes target/"
	@echo "The directories of install and uninstall: SBINDIR MANDIR DOCDIR SYSCONFDIR UNITDIR OCFDIR BASHCOMPDIR ZSHCOMPDIR FISHCOMPDIR"

# Builds everything and shows the main job end to end: no root, no cluster, no network.
demo: all
	BIN_DIR="$(BUILT)" packaging/demo.sh

# Installs what the tests need (as root, where apt-get is), then runs them all.
test:
	packaging/test-needs.sh
	CARGO="$(CARGO)" packaging/test.sh

# The tests that kill and cut at every point instead of at some, and try 10,000 random orders; then every input format is
# fuzzed for FUZZ seconds (fuzz/run.sh; needs a C++ compiler). Takes long: three hours for the latter alone.
FUZZ = 600
soak:
	packaging/test-needs.sh
	PROPTEST_CASES=10000 $(CARGO) test --locked --release -p orderly-plan
	ORDERLY_SOAK=1 $(CARGO) test --locked --workspace
	fuzz/run.sh $(FUZZ)

# Hands a real ZFS pool, an LVM group, and a DRBD resource over between two real (emulated) machines, and pulls plugs;
# as root, on Debian.
# The first time it builds the machines (LAB_DIR, a quarter of an hour); then it takes half an hour or more.
# make lab-test LAB="busy hung" does only those.
LAB =
lab-test: all
	tests/lab/build.sh
	BIN_DIR="$(BUILT)" tests/lab/handover.sh $(LAB)
	@[ -n "$(LAB)" ] || for of in lvm drbd; do BIN_DIR="$(BUILT)" tests/lab/$$of.sh || exit; done

# Takes the guard of each failure scenario out (tests/scenarios.md), and sees its test fail; GUARDS names some.
guards:
	packaging/test-needs.sh
	GUARDS="$(GUARDS)" CARGO="$(CARGO)" tests/guards/run.sh

# How fast it is beside others on this machine: all of bench/, or some of it (make bench BENCH="plan dispatch"). Installs the
# peers first (as root, where apt-get is). RESULTS names another directory for what is written than bench/results.
BENCH =
bench: all
	bench/needs.sh
	@BIN_DIR="$(BUILT)" python3 -B bench/run.py $(BENCH)

check: man-lint deny
	$(CARGO) fmt --all --check
	@# The fuzzer has a lock file of its own, which is forgotten when dependencies change.
	$(CARGO) metadata --locked --format-version 1 --manifest-path fuzz/targets/Cargo.toml >/dev/null
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps
# The scenario of the same name compares the pages with the programs; this looks at their language.
man-lint:
	@if command -v mandoc >/dev/null 2>&1; then \
		echo "mandoc -T lint man/*.[578]"; mandoc -T lint -W warning man/*.[578]; \
	else echo "did not run: man-lint: needs the program mandoc"; fi

DIRECTORIES = BIN_DIR="$(BUILT)" DESTDIR="$(DESTDIR)" SBINDIR="$(SBINDIR)" MANDIR="$(MANDIR)" DOCDIR="$(DOCDIR)" \
	SYSCONFDIR="$(SYSCONFDIR)" UNITDIR="$(UNITDIR)" OCFDIR="$(OCFDIR)" BASHCOMPDIR="$(BASHCOMPDIR)" \
	ZSHCOMPDIR="$(ZSHCOMPDIR)" FISHCOMPDIR="$(FISHCOMPDIR)" INSTALL="$(INSTALL)" PROGRAMS="$(PROGRAMS)"

# Licences, sources and versions of what is depended on (deny.toml). Known vulnerabilities are looked up in a database on the
# network, which a check that anybody repeats must not depend on: cargo deny check advisories.
deny:
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
		echo "cargo deny check licenses bans sources"; $(CARGO) deny --locked check licenses bans sources; \
	elif [ -n "$$CI" ]; then echo "deny: needs cargo-deny: cargo install --locked cargo-deny" >&2; exit 1; \
	else echo "did not run: cargo deny check: needs cargo-deny"; fi
	@echo "did not run: cargo deny check advisories: needs the network"

install: all completions notices
	$(DIRECTORIES) packaging/install.sh

# Takes the same variables as install, and removes what that installed.
uninstall:
	$(DIRECTORIES) packaging/install.sh uninstall

# A Debian package, in target/; needs debhelper.
deb: all completions notices
	BIN_DIR="$(BUILT)" PROGRAMS="$(PROGRAMS)" VERSION="$(VERSION)" packaging/deb.sh

# Programs that need no libraries of the machine they run on, for nodes without a package: copy what is needed.
# Users and names are then those of /etc/passwd, /etc/hosts and DNS, whatever /etc/nsswitch.conf says.
static:
	@[ -d "$$($(RUSTC) --print target-libdir --target $(STATIC))" ] || \
	{ echo "static: needs the target $(STATIC): rustup target add $(STATIC)" >&2; exit 1; }
	$(CARGO) build --locked --release --target $(STATIC) --workspace --bins
	@echo "in $(TARGET)/$(STATIC)/release: $(PROGRAMS) csLogger"

# An RPM package with the directories of Rocky Linux 9, in target/; needs rpmbuild. Its programs are static, because those of
# another distribution may ask for a newer C library.
rpm: static completions notices
	BIN_DIR="$(TARGET)/$(STATIC)/release" EXTRAS="$(BUILT)" PROGRAMS="$(PROGRAMS)" VERSION="$(VERSION)" packaging/rpm.sh

# Bash, zsh and fish complete the flags of all programs.
completions:
	$(CARGO) run --quiet --locked --release -p orderly-tests --example completions -- "$(BUILT)/completions"

# The licences of what the programs contain.
notices:
	$(CARGO) run --quiet --locked --release -p orderly-tests --example notices -- "$(BUILT)/THIRD-PARTY.md"

clean:
	$(CARGO) clean
