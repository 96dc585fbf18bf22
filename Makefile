# SPDX-License-Identifier: GPL-2.0-or-later
# The front door.  Each target brings the Debian packages that it needs.
BUILD ?= build
PREFIX ?= /usr/local

.PHONY: all demo check check-machines corpus bench install clean

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

# The whole live suites, with every named fault, on the other architectures and with
# sanitizers, and every pair with every compiler: a long while.
check-machines: all
	@scripts/deps check
	@mkdir -p build-check/vm
	@PAIRS_FULL=1 python3 tests/pairs.py $(BUILD)/src/stitch
	@test -d build-check/asan || meson setup build-check/asan -Dwerror=true \
		-Dbuildtype=debugoptimized \
		-Db_sanitize=address,undefined -Db_lundef=false >/dev/null
	@ninja -C build-check/asan --quiet
	@PAIRS_FULL=1 python3 tests/cases.py build-check/asan/src/stitch
	@python3 tests/live.py build-check/asan/src/stitch
	@for arch in arm64 s390x ppc64el; do \
		VM_FULL=1 VM_LIMIT=7200 tests/vm/run $(BUILD)/src/stitch build-check/vm $$arch || \
			exit 1; \
	done

# Twelve security fixes of Debian's, each on its daemon under load: hours.
corpus: all
	@scripts/deps corpus
	@python3 tests/corpus/run.py $(BUILD)/src/stitch .corpus

bench: all
	@scripts/deps bench corpus
	@test -d build-bench || meson setup build-bench -Dbuildtype=release -Db_ndebug=false >/dev/null
	@ninja -C build-bench --quiet
	@bench/run build-bench/src/stitch
	@bench/latency build-bench/src/stitch .demo .corpus
	@bench/stacks build-bench/tests/bench-unwind

install: all
	@ninja -C $(BUILD) --quiet install

clean:
	rm -rf build build-* .demo .corpus
