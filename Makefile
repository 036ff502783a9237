# make demo: a photograph through npeg, beside JPEG, WebP and AVIF.   make test: the tests.
# make check: format, lint, types, tests.   Every target sets up what it needs in .venv.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check format fuzz web runtime clean lock

demo: .venv/user
	$(BIN)/python -m npeg.demo --out demo

test: .venv/dev
	$(BIN)/python -m pytest

check: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --durations=10

format: .venv/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

fuzz: .venv/dev
	-$(BIN)/pip install --quiet atheris
	$(BIN)/python tests/fuzz.py --minutes 10

# What decoding needs, with hashes: docs/releasing.md.
lock: .venv/dev
	$(BIN)/pip install --quiet uv
	echo "setuptools>=77" | $(BIN)/uv pip compile pyproject.toml - --universal --python-version 3.11 \
		--generate-hashes --no-header --no-annotate --quiet --output-file requirements/run.txt
	$(BIN)/python docs/make_licences.py

# The site for any web server, which is the npm package as well; docs/browser.md.
web: .venv/user runtime
	$(BIN)/python -m npeg.web.build build/web

# ONNX Runtime for browsers, 14 MB: for a site, for tests in node, and for `npeg serve` to decode in the page.
# An AVIF encoder, 3.5 MB, that the page compares with.
runtime:
	npm install --prefix build/npm --ignore-scripts --no-audit --no-fund \
		onnxruntime-web@1.30.0 @jsquash/avif@2.1.1
	mkdir -p npeg/web/ort npeg/web/avif
	cd build/npm/node_modules/onnxruntime-web/dist && cp ort.wasm.min.mjs ort.wasm.bundle.min.mjs ort-wasm-simd-threaded.mjs \
		ort-wasm-simd-threaded.wasm $(CURDIR)/npeg/web/ort
	cd build/npm/node_modules/@jsquash/avif && cp codec/enc/avif_enc.js codec/enc/avif_enc.wasm LICENSE \
		$(CURDIR)/npeg/web/avif

clean:
	rm -rf .venv demo build *.egg-info

.venv/bin/python:
	$(PYTHON) -m venv .venv

# What a user installs, and the bench that draws the demo's comparison.
.venv/user: .venv/bin/python pyproject.toml
	$(BIN)/pip install --quiet --editable ".[bench]"
	touch $@

# PyTorch first and from its own version: any other request may bring gigabytes of GPU packages.
# The small rivals (9 MB) where they have wheels: their tests skip without them.
.venv/dev: .venv/user
	$(BIN)/pip install --quiet torch==2.13.0
	$(BIN)/pip install --quiet --editable ".[bench,enhance,train,dev]"
	-$(BIN)/pip install --quiet "pyvips[binary]" pyjpegli mozjpeg-lossless-optimization
	touch $@
