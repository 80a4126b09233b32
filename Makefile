# The front door. Each target does its own set-up on a fresh Debian 12 (scripts/setup) and is quick when nothing changed.
#
#   make          build/release: the command build/release/varve, both libraries
#   make demo     real data through the engine and a real Kafka, with a kill and a lost disk on the way
#   make test     everything; ends with 'N passed, N failed, N skipped'
#   make bench    google-benchmark suites, and the comparison with RocksDB, LevelDB and LMDB
#   make fuzz     every fuzz target for FUZZ_SECONDS (60)
#   make install  into PREFIX (/usr/local), below DESTDIR if set

PREFIX ?= /usr/local
FUZZ_SECONDS ?= 60
BENCH_ARGS ?=
COMPARE_ARGS ?=

.PHONY: all release dev asan tsan coverage demo test bench fuzz install lint format clean

all: release

release dev asan tsan coverage: build-set-up
	@scripts/build $@

.PHONY: build-set-up
build-set-up:
	@scripts/setup build

demo:
	@scripts/setup demo
	@scripts/build release
	@scripts/demo

test:
	@scripts/setup test
	@scripts/run-tests

bench:
	@scripts/setup bench
	@scripts/build release
	build/release/bench/varve_bench $(BENCH_ARGS)
	build/release/bench/compare $(COMPARE_ARGS)

fuzz:
	@scripts/setup fuzz
	@scripts/build fuzz
	@scripts/run-fuzz $(FUZZ_SECONDS)

install: release
	cmake --install build/release --prefix $(PREFIX)

lint:
	@scripts/setup lint
	@scripts/build dev
	run-clang-tidy -quiet -p build/dev '/(engine|changelog|cli)/'

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

clean:
	rm -rf build
