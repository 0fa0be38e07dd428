# Each target sets up what it needs in .venv first, and does nothing that is already done. `make` alone lists them.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
MLFLOW := $(VENV)/mlflow
RIVALS := $(VENV)/rivals
SEARCH := $(VENV)/search
NEWEST := $(VENV)/newest
JS := scripts/js
JS_BIN := $(JS)/node_modules/.bin

# Python writes its bytecode, whatever the machine says: the tests start many processes.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup demo serve test check lint lint-js docs reference conformance faults soak newest nightly bench bench-backends bench-compilers bench-six bench-cold bench-rivals bench-search bench-targets bench-gpu bench-api bench-long bench-dashboard pictures client lock clean

help: ## Show what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

setup: $(READY) ## Make the virtual environment from the locked, hashed requirements

# uv installs in a tenth of pip's time; pip installs uv. Bytecode is compiled now, not at the first start.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
UV := $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python

$(READY): locks/dev.txt locks/uv.txt pyproject.toml scripts/find-python
	@python=$$(scripts/find-python) && echo "Setting up $(VENV) with $$($$python --version): a minute or so, once." \
		&& $$python -m venv $(VENV)
	@$(PIP) -r locks/uv.txt
	@$(UV) --require-hashes -r locks/dev.txt
	@$(UV) --no-deps --no-build-isolation --offline -e .
	@touch $@

demo: $(READY) ## Train the six exercises over HTTP and show what came of them
	@$(BIN)/fittingroom demo

serve: $(READY) ## Run the service on http://127.0.0.1:8000/docs until Ctrl-C
	@$(BIN)/fittingroom serve

test: $(READY) ## Run the quick tests, in parallel: needs no server and no browser (under three minutes)
	$(BIN)/pytest -n auto --dist worksteal

lint: $(READY) ## Check style, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python scripts/lint-words fittingroom app models workers tests benchmarks migrations docs README.md CONTRIBUTING.md \
		SECURITY.md CHANGELOG.md

$(JS)/node_modules/.ready: $(JS)/package.json $(JS)/package-lock.json
	@scripts/find-node
	@npm ci --prefix $(JS) --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# Not committed: made from the snapshot of the API's schema, it cannot be older than it.
$(JS)/api.d.ts: tests/app/api/openapi.json $(JS)/node_modules/.ready
	@$(JS_BIN)/openapi-typescript $< --output $@.new >/dev/null && mv $@.new $@

lint-js: $(JS)/api.d.ts ## Check style and types of the dashboard's JavaScript (needs Node 20 or later)
	@scripts/find-node
	$(JS_BIN)/biome check --error-on-warnings --config-path=$(JS) app/static
	$(JS_BIN)/tsc --project $(JS)

docs: $(READY) ## Build the documentation as a site in .site/, with a search; fails at a broken link
	@$(UV) --require-hashes -r locks/docs.txt
	@$(BIN)/zensical build --strict --clean
	@echo "Look at it: $(BIN)/python -m http.server --directory .site --bind 127.0.0.1 8080, then http://127.0.0.1:8080/"

reference: $(READY) ## Write docs/reference/ anew, after a change of a spec, a setting or a command
	$(BIN)/python scripts/make-reference

$(MLFLOW)/.ready $(RIVALS)/.ready $(SEARCH)/.ready: $(VENV)/%/.ready: locks/%.txt $(READY)
	@$(BIN)/python -m venv $(@D)
	@$(BIN)/uv pip install --quiet --python $(@D)/bin/python --require-hashes -r $<
	@touch $@

check: lint lint-js docs ## What CI runs: lint, docs, all tests but the nightly ones, on both stores and in a browser, JAX, faults
	scripts/with-servers $(BIN)/pytest -n 3 --dist worksteal --slow --e2e --servers --browser --faults --durations=20
	KERAS_BACKEND=jax $(BIN)/pytest -n auto --dist worksteal tests/workers

nightly: check $(MLFLOW)/.ready faults newest ## All that `make check` leaves out: everything on JAX, references anew, schemathesis at length, newest libraries (hours)
	MLFLOW=$(CURDIR)/$(MLFLOW)/bin/mlflow scripts/with-servers $(BIN)/pytest -n 2 --dist worksteal --nightly --slow --e2e --servers --mlflow
	KERAS_BACKEND=jax $(BIN)/pytest -n 2 --dist worksteal --nightly --slow tests/workers
	$(MAKE) soak

newest: $(READY) ## Run the quick tests with the newest libraries that pyproject.toml allows, in an environment of their own
	@python=$$(scripts/find-python) && $$python -m venv --clear $(NEWEST)
	@$(BIN)/uv pip install --quiet --python $(NEWEST)/bin/python --upgrade -e '.[dev]'
	$(NEWEST)/bin/pytest -n auto --dist worksteal --deselect tests/workers/engines/test_agreement.py::test_stored_references_are_of_the_installed_libraries

faults: $(READY) ## Break it in every way we know, on both stores, one line per case; then a soak of a few minutes
	scripts/with-servers $(BIN)/pytest --faults --servers --nightly -v tests/faults
	scripts/with-servers $(BIN)/python -m tests.faults.soak --minutes 2
	scripts/with-servers $(BIN)/python -m tests.faults.soak --minutes 2 --server

conformance: $(READY) ## Hold the API to its schema at length, on both stores (half an hour or more)
	scripts/with-servers $(BIN)/pytest -n 2 --servers --nightly -s tests/app/api/test_openapi.py

soak: $(READY) ## Many experiments and random kills for half an hour, on both stores; then a hostile world for a quarter
	scripts/with-servers $(BIN)/python -m tests.faults.soak --minutes 30
	scripts/with-servers $(BIN)/python -m tests.faults.soak --minutes 30 --server
	scripts/with-servers $(BIN)/python -m tests.faults.hostile_soak --minutes 15
	scripts/with-servers $(BIN)/python -m tests.faults.hostile_soak --minutes 15 --server

BACKEND ?= tensorflow

bench: $(READY) ## Measure the fused engine against keras.fit, JAX by hand and scikit-learn (ten minutes; BACKEND=jax)
	@$(UV) --require-hashes -r locks/bench.txt
	@KERAS_BACKEND=$(BACKEND) $(BIN)/python -m benchmarks

bench-compilers: $(READY) ## Measure what a graph and XLA take to make a program and to run it (six minutes)
	@$(BIN)/python -m benchmarks.compilers

bench-six: $(READY) ## Measure the six exercises over HTTP, cold and known, against a plain script (six minutes)
	@$(BIN)/python -m benchmarks.six

bench-cold: $(READY) ## Measure one trial of each kind of network, new to its process, against keras.fit (six minutes)
	@$(BIN)/python -m benchmarks.cold

bench-rivals: $(RIVALS)/.ready ## Measure a sweep over HTTP against Optuna, KerasTuner, Ray Tune and a pool, all cores (ten minutes)
	@RIVALS=$(RIVALS)/bin/python $(BIN)/python -m benchmarks.rivals

bench-search: $(SEARCH)/.ready ## Measure samplers on twelve tables of results beside Optuna's, and pruners on learning curves (some minutes)
	@$(SEARCH)/bin/python -m benchmarks.search
	@$(BIN)/python -m benchmarks.search.pruning

bench-targets: $(RIVALS)/.ready ## Measure searches until a target is reached against Optuna, KerasTuner and Ray Tune (an hour)
	@RIVALS=$(RIVALS)/bin/python $(BIN)/python -m benchmarks.targets

bench-backends: $(READY) ## Measure the two backends beside each other, and how soon a worker of each begins (some minutes)
	@$(BIN)/python -m benchmarks.backends

bench-gpu: BACKEND = jax
bench-gpu: $(READY) ## Measure 1 to 4,096 trials on a GPU against keras.fit there (install locks/worker-jax-gpu.txt first)
	@KERAS_BACKEND=$(BACKEND) $(BIN)/python -m benchmarks.gpu

bench-api: $(READY) ## Load-test the API: reads, submits, batches, long polls (some two minutes)
	@$(BIN)/python -m benchmarks.api

bench-long: $(READY) ## Measure reads of 1,000 trials of 10,000 epochs: first byte, memory, what others wait (ten minutes, 5 GB of disk)
	@$(BIN)/python -m benchmarks.long_answers

bench-dashboard: $(READY) ## Measure how long a hundred trials of a hundred epochs take to draw (needs Chromium)
	@$(BIN)/python -m benchmarks.dashboard

pictures: $(READY) ## Draw the pictures of the docs anew (needs Chromium)
	$(BIN)/python -m tests.e2e.pictures

client: $(READY) ## Generate the synchronous client from the asynchronous one, after a change of that
	$(BIN)/python scripts/make-sync-client

lock: $(READY) ## Write the lock files anew, after a change of pyproject.toml
	scripts/lock $(BIN)/uv

clean: ## Remove the virtual environment and the tools for JavaScript; data in .fittingroom stays
	rm -rf $(VENV) $(JS)/node_modules $(JS)/api.d.ts .site .cache .benchmarks
