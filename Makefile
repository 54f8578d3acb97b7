# SPDX-License-Identifier: Apache-2.0
# Every target does its own set-up where it needs one. What each does in detail stands at the head of its script.

.PHONY: help build check test simulate conformance mutants sweep fuzz bench demo demo-down format

help:
	@echo 'make build      the controller and the agent, optimised, and the agent image'
	@echo 'make check      formatting, module rules, generated files, warnings as errors, unit and simulation tests'
	@echo 'make test       set-up, make check, integration tests; as root also end-to-end tests on a real node'
	@echo 'make simulate   20,000 stories in which things go wrong, in a simulated cluster; docs/simulation.md says what and how'
	@echo 'make conformance'
	@echo '                generated requests to a real API server and to the model of it: are the answers the same?'
	@echo 'make fuzz       hostile bytes for every decoder, SECONDS=60; docs/fuzzing.md says what and how'
	@echo 'make bench      measures clones (CLONES=1000) and scans; docs/benchmarks.md says what and how'
	@echo 'make mutants    which of the bugs in Tests/Mutants the simulation notices; takes most of an hour'
	@echo 'make sweep      the program that replaces data, killed before each of its commands; takes most of an hour; needs root'
	@echo 'make demo       a cluster on this machine with the whole story played on it; needs root'
	@echo 'make demo-down  ends what make demo has started'
	@echo 'make format     formats the Swift sources'

build:
	hack/setup.sh build test
	hack/build.sh

check:
	hack/setup.sh build test
	hack/check.sh

test:
	hack/test.sh

simulate:
	hack/setup.sh build
	hack/simulate.sh

conformance:
	hack/test-conformance.sh

fuzz:
	hack/setup.sh build test
	hack/fuzz.sh

bench:
	hack/bench.sh

mutants:
	hack/setup.sh build
	hack/mutants.sh

sweep:
	hack/setup.sh build test
	hack/check.sh sweep

demo:
	hack/demo.sh

demo-down:
	hack/demo-down.sh

format:
	swift format --in-place --recursive --parallel --configuration .swift-format Package.swift Sources Tests Benchmarks
