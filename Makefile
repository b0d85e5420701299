# Two commands do all the set-up: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Where every server is there, the tests cover at least nine tenths of the lines and branches.
FLOOR := $(if $(filter true,$(CI)),--cov-fail-under=90)

.PHONY: demo test check bench soak clean servers

demo: $(STAMP)
	@$(BIN)/canary demo

# The tests' own files are UTF-8, whatever the locale; what they start gets the locale that they say.
test: export PYTHONUTF8 = 1
test: $(STAMP) servers
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile -m "not soak" --cov --cov-report=term:skip-covered $(FLOOR) $(TESTS)

soak: export PYTHONUTF8 = 1
soak: $(STAMP) servers
	@$(BIN)/python -m pytest -m soak --timeout 900 $(TESTS)

check: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: export PYTHONUTF8 = 1
bench: $(STAMP) servers
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build dist .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# sshd, PostgreSQL and MariaDB for the tests: installed where that is possible, and never started by apt.
servers:
	@sh tests/install_servers.sh

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed (make PYTHON=python3.12 …)"; exit 1; }
	@test -x $(BIN)/pip || PYTHON="$(PYTHON)" sh tests/make_venv.sh $(VENV)
	@echo "Installing canary-tui into $(VENV) …"
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,dev]'
	@touch $@
