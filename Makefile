# make demo, make test, make bench, make lint: each makes its own .venv if there is none.
PYTHON ?= python3
BIN := $(CURDIR)/.venv/bin
PIP := PIP_CONSTRAINT=$(CURDIR)/constraints.txt PIP_BUILD_CONSTRAINT=$(CURDIR)/constraints.txt \
	$(BIN)/python -m pip install --quiet
SOURCES := pyproject.toml setup.py MANIFEST.in constraints.txt \
	$(shell find csrc kernels unsup_fast -name '*.so' -prune -o -name '__pycache__' -prune -o -type f -print)

.PHONY: demo test bench lint dist clean

demo: .venv/.demo
	$(BIN)/unsup-fast demo --out demo

# From the tests' folder, so that the installed package is tested and not the source tree.
test: .venv/.dev
	cd tests && $(BIN)/python -m pytest $(ARGS)

bench: .venv/.dev
	cd benchmarks && $(BIN)/python -m pytest $(ARGS)

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run -Werror csrc/*.hpp csrc/*.h csrc/*.cpp csrc/bindings/*.cpp
	cd tests && $(BIN)/mypy --config-file ../pyproject.toml -p unsup_fast
	cd tests && $(BIN)/lint-imports --config ../pyproject.toml

# The source distribution must build a wheel that works by itself.
dist: .venv/.dev
	rm -rf dist build
	PIP_CONSTRAINT=$(CURDIR)/constraints.txt $(BIN)/python -m build --outdir dist .
	$(PIP) --no-deps --target build/wheel dist/*.whl
	cd build/wheel && $(BIN)/python -m unsup_fast info

clean:
	rm -rf .venv build dist demo *.egg-info

.venv/.made:
	$(PYTHON) -m venv .venv
	touch $@

# build/ is removed because setuptools would pack modules that are no longer there.
.venv/.demo: .venv/.made $(SOURCES)
	rm -rf build
	$(PIP) '.[cli]'
	touch $@

.venv/.dev: .venv/.made $(SOURCES)
	rm -rf build
	$(PIP) '.[dev]'
	touch $@ .venv/.demo
