# make demo: set up, build, train fp32 and mixed precision side by side on Fashion-MNIST.
# make test: set up, build, run every test. PRESET=debug and so on choose another build.
PRESET ?= release
BUILD := build/$(PRESET)
JOBS ?= $(shell nproc)

.PHONY: help demo test test-all build format check-format check-layers sanitize results clean

help:
	@sed -n 's/^# make /make /p' Makefile

demo:
	@scripts/setup.sh demo
	@scripts/fetch_fashion_mnist.sh
	@$(MAKE) --no-print-directory build TARGET=halftone_cli
	@$(BUILD)/bin/halftone compare fashion-mnist --minutes 1.4 --out runs/demo --overwrite

test:
	@scripts/setup.sh test
	@$(MAKE) --no-print-directory build TARGET=all
	@python3 scripts/run_tests.py $(BUILD)

# make test-all: also the long ones (10,000 random shapes of each operation, a run killed 20 times).
test-all: test
	@HALFTONE_RANDOM_SHAPES=10000 $(BUILD)/tests/test_ops --gtest_filter='RandomShapes.*'
	@HALFTONE_BIN=$(BUILD)/bin/halftone python3 -m unittest -v $(wildcard tests/long/test_*.py)

# make build TARGET=name: configure where needed, build one target.
TARGET ?= all
build: $(BUILD)/build.ninja
	@ninja -C $(BUILD) -j$(JOBS) $(TARGET)

$(BUILD)/build.ninja:
	@echo "[build] configuring $(BUILD)"
	@cmake --preset $(PRESET) > /dev/null

# make format: clang-format over the tree.
format:
	@scripts/format.sh

check-format:
	@scripts/format.sh --check

check-layers:
	@python3 scripts/check_layers.py

# make sanitize: the unit tests under the address and undefined-behaviour sanitizers.
sanitize:
	@scripts/setup.sh test
	@$(MAKE) --no-print-directory build PRESET=asan-ubsan TARGET=halftone_unit_tests
	@python3 scripts/run_tests.py build/asan-ubsan --unit

# make results RESULTS="--data DIR": every task with three seeds into docs/results.md (hours, resumable; RESULTS=--quick: minutes).
results:
	@scripts/setup.sh demo
	@scripts/fetch_fashion_mnist.sh
	@$(MAKE) --no-print-directory build TARGET=halftone_cli
	@python3 scripts/results --build $(BUILD) $(RESULTS)

clean:
	rm -rf build
