# make: the words for what one does with weir. The build itself is in CMakeLists.txt, the tests in tools/test.sh.
MAKEFLAGS += --no-print-directory
JOBS ?= $(shell nproc)

.DEFAULT_GOAL := build
.PHONY: build demo demo-kafka demo-mysql test quick deep soak bench bench-record bench-curves format clean help

build: ## builds weir, the library and the examples into build/release (installs what is missing first)
	@tools/install.sh build
	@cmake --preset release >/dev/null
	@cmake --build build/release -j $(JOBS)

demo: build ## builds, then shows a job that is killed again and again and still counts exactly once
	@build/release/weir demo

demo-kafka: build ## the same with a real Kafka broker, which is killed too
	@tools/install.sh kafka
	@build/release/weir demo kafka

demo-mysql: build ## a plain sink beside an exactly-once one on a MariaDB server, both killed (FULL=1: at full length)
	@tools/install.sh mariadb
	@tools/servers/with.sh mariadb build/release/weir demo mysql $(if $(FULL),--full) --server

quick: ## the tests for the inner loop, under 4 minutes
	@tools/test.sh quick

test: ## all tests, under 40 minutes on 2 cores
	@tools/test.sh test

deep: ## the tests with large counts, for hours
	@tools/test.sh deep

soak: build ## an hour of real jobs, files and a Kafka broker under random faults; SOAK="--minutes N --seed S"
	@python3 tests/soak.py $(SOAK)

bench: build ## runs every benchmark (some 14 minutes) and prints one table of figures
	@python3 tools/bench.py build/release/bench

bench-record: build ## the same on a quiet machine, and puts the table into bench/README.md
	@python3 tools/bench.py --record bench/README.md build/release/bench

bench-curves: build ## draws the curves (more than 7 minutes) into docs/
	@python3 tools/curves.py build/release/bench docs

format: ## lays out all code as .clang-format says
	@tools/install.sh test
	@tools/test.sh format -i

clean: ## removes everything that was built
	@rm -rf build

help: ## lists these words
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/make \1|\2/p' Makefile | column -t -s '|'

.DEFAULT:
	@echo "make: there is no \"$@\"; there are:"
	@$(MAKE) help
	@exit 2
