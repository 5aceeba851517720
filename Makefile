# Two commands matter: `make tutorial` and `make test`. Both install what is missing, first.
# They need root (local hosts are network namespaces) and Debian 12, Ubuntu 22.04 or newer.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MODEL ?= toy
WORKERS ?= 4
PACKAGES := python3 python3-venv python3-pip openssh-server openssh-client openssl iproute2 util-linux mosquitto fping iperf3 iputils-ping kmod nftables

.PHONY: tutorial test lint unit install system fix schemas lock clean

tutorial: install            ## run the provenance tutorial on local hosts and answer its question (MODEL=toy|digits)
	@[ "$(MODEL)" != digits ] || /usr/bin/python3 -c 'import sklearn' 2>/dev/null || .ci/install-system.sh python3-sklearn
	@examples/provenance-tutorial/run.sh "$(CURDIR)/$(BIN)/e2clab" "$(MODEL)"

test: install lint unit      ## everything CI runs

lint: install                ## style, types, architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

unit: install                ## all tests; most of them wait more than they work, so WORKERS are more than processors
	# the tests start thousands of programs; where PYTHONDONTWRITEBYTECODE is set, each would compile e2c anew
	@$(BIN)/python -m compileall -q e2c provlight
	# a CI that starts this in the background makes it deaf to Ctrl-C, which is tested
	@env --default-signal=INT,HUP $(BIN)/pytest -n $(WORKERS) --dist loadgroup --hypothesis-profile=ci

install: system $(VENV)/.installed  ## Python environment in .venv, with the MonetDB libraries

$(VENV)/.installed: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' || \
	  { echo "e2c needs Python 3.10 to 3.13, but $(PYTHON) is $$($(PYTHON) -V); name another: make PYTHON=python3.12"; exit 1; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@echo "Installing Python packages into $(VENV)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/python -m e2c.provenance fetch-monetdb >/dev/null
	@touch $@

system:                      ## Debian packages
	@E2C_TARGET="$(MAKECMDGOALS)" .ci/install-system.sh $(PACKAGES)

fix:                         ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schemas: install             ## write schemas/ anew from the models
	$(BIN)/python -m e2c.config.schema schemas

lock:                        ## resolve requirements.lock anew (needs uv)
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.10 --generate-hashes \
	  --no-header --no-annotate --quiet -o requirements.lock

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
