# Two commands do all the set-up: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test check bench soak clean servers

demo: $(STAMP)
	@$(BIN)/canary demo

test: $(STAMP) servers
	@$(BIN)/python -m pytest -m "not soak" --cov --cov-report= $(TESTS)
	@$(BIN)/coverage combine -q 2>/dev/null || true
	@$(BIN)/coverage report --skip-covered | tail -40

soak: $(STAMP) servers
	@$(BIN)/python -m pytest -m soak --timeout 900 $(TESTS)

check: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP) servers
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build dist .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# sshd, PostgreSQL and MariaDB for the tests: installed where that is possible, and never started by apt.
servers:
	@sh tests/install_servers.sh

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed (make PYTHON=python3.12 …)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "python3-venv is needed: apt-get install python3-venv"; exit 1; }
	@echo "Installing canary-tui into $(VENV) …"
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,dev]'
	@touch $@
