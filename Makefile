# make demo, test, bench, lint, docs: each makes its own .venv if there is none.
PYTHON ?= python3
BIN := $(CURDIR)/.venv/bin
PINS := PIP_CONSTRAINT=$(CURDIR)/constraints.txt PIP_BUILD_CONSTRAINT=$(CURDIR)/constraints.txt
PIP := $(PINS) $(BIN)/python -m pip install --quiet
NATIVE := pyproject.toml setup.py constraints.txt $(shell find csrc -type f) $(shell find kernels -name '*.pyx')
PACKAGE := $(NATIVE) MANIFEST.in $(shell find kernels unsup_fast -name '*.py' -o -name '*.pyi' -o -name '*.css' -o -name '*.html')

.PHONY: demo test bench lint docs dist clean

demo: .venv/.demo
	$(BIN)/unsup-fast demo --out demo

test: .venv/.dev
	cd tests && $(BIN)/python -m pytest $(ARGS)

bench: .venv/.dev
	cd benchmarks && $(BIN)/python -m pytest $(ARGS)

# mypy and import-linter look at the wheel: they cannot see through an editable install's mapping.
lint: .venv/.dev build/.wheel
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python .ci/checks/house_rules.py
	$(BIN)/clang-format --dry-run -Werror csrc/*/*.hpp csrc/*/*.h csrc/*/*.cpp
	$(BIN)/python csrc/check_headers.py
	cd build/wheel && $(BIN)/python -m unsup_fast info
	cd build/wheel && $(BIN)/mypy --config-file ../../pyproject.toml -p unsup_fast
	cd build/wheel && $(BIN)/lint-imports --config ../../pyproject.toml

# The site, in build/site; a warning is an error.
docs: .venv/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

dist: build/.wheel

clean:
	rm -rf .venv build dist demo benchmarks/results *.egg-info kernels/*.so kernels/*/*.so

.venv/.made:
	$(PYTHON) -m venv .venv
	touch $@

.venv/.demo: .venv/.made $(NATIVE)
	$(PIP) --editable '.[cli,train]'
	touch $@

.venv/.dev: .venv/.made $(NATIVE)
	$(PIP) --editable '.[dev]'
	touch $@ .venv/.demo

# The source distribution, and a wheel built from nothing else, unpacked in build/wheel.
build/.wheel: .venv/.dev $(PACKAGE)
	rm -rf dist build/wheel
	$(PINS) $(BIN)/python -m build --outdir dist .
	$(PIP) --no-deps --target build/wheel dist/*.whl
	touch $@
