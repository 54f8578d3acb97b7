# SPDX-License-Identifier: Apache-2.0
# Every target does its own set-up where it needs one. What each does in detail stands at the head of its script.

.PHONY: help build check test bench demo demo-down format

help:
	@echo 'make build      the controller and the agent, optimised, and the agent image'
	@echo 'make check      formatting, module rules, generated files, warnings as errors, unit and simulation tests'
	@echo 'make test       set-up, make check, integration tests; as root also end-to-end tests on a real node'
	@echo 'make bench      measures clones (CLONES=1000) and scans; docs/benchmarks.md says what and how'
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

bench:
	hack/bench.sh

demo:
	hack/demo.sh

demo-down:
	hack/demo-down.sh

format:
	swift format --in-place --recursive --parallel --configuration .swift-format Package.swift Sources Tests Benchmarks
