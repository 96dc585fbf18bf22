# SPDX-License-Identifier: GPL-2.0-or-later
# The front door.  Each target brings the Debian packages that it needs.
BUILD ?= build
PREFIX ?= /usr/local

.PHONY: all demo check check-machines bench install clean

all:
	@scripts/deps build
	@test -d $(BUILD) || meson setup $(BUILD) -Dprefix=$(PREFIX) >/dev/null
	@ninja -C $(BUILD) --quiet

demo: all
	@scripts/deps demo
	@scripts/demo $(BUILD)/src/stitch

check:
	@scripts/deps check
	@scripts/check

# The whole live suites, with every named fault, on the other architectures: a long while.
check-machines: all
	@scripts/deps check
	@mkdir -p build-check/vm
	@VM_FULL=1 VM_LIMIT=7200 tests/vm/run $(BUILD)/src/stitch build-check/vm arm64

bench: all
	@scripts/deps bench
	@test -d build-bench || meson setup build-bench -Dbuildtype=release -Db_ndebug=false >/dev/null
	@ninja -C build-bench --quiet
	@bench/run build-bench/src/stitch
	@bench/latency build-bench/src/stitch .demo
	@bench/stacks build-bench/tests/bench-unwind

install: all
	@ninja -C $(BUILD) --quiet install

clean:
	rm -rf build build-* .demo
