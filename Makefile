# Every target first installs what is missing; `make help` lists them.
PYTHON_IN_VENV := .venv/bin/python
TEST_PROCESSES ?= $(if $(PILOTBUS_AMQP_URL),0,3)
ROOMS := bus deploy handlers pilot schemas tests pilotbus.py

.PHONY: help setup check test demo bench bench-bulk bench-connections bench-fleet bench-flood bench-match bench-pilot bench-shares attacks generate lock clean
.DEFAULT_GOAL := help

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(firstword $(MAKEFILE_LIST)) | sed 's/:.*##/\t/' | expand -t 20

setup: ## RabbitMQ and PostgreSQL of Debian, Pythons for the pilot, and .venv with the locked packages
	@sh deploy/setup.sh

check: setup ## style, types, who imports whom, known holes in libraries, secrets in files
	$(PYTHON_IN_VENV) -m ruff check $(ROOMS)
	$(PYTHON_IN_VENV) -m ruff format --check $(ROOMS)
	$(PYTHON_IN_VENV) -m mypy --strict $(ROOMS)
	.venv/bin/lint-imports
	$(PYTHON_IN_VENV) -m deploy.audit

test: check ## check, then all tests, each part against a private broker and database
	$(PYTHON_IN_VENV) -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

demo: setup ## jobs through pilots on this machine, from submission to output
	$(PYTHON_IN_VENV) -m deploy.demo

bench: setup ## events, matches and jobs per second
	$(PYTHON_IN_VENV) -m deploy.stack run --name bench -- $(PYTHON_IN_VENV) -m tests.bench.spine

bench-bulk: setup ## submissions of up to a million jobs, from the first step until all wait (BULK=small)
	$(PYTHON_IN_VENV) -m deploy.stack run --name bench-bulk -- $(PYTHON_IN_VENV) -m tests.bench.bulk $(BULK)

bench-flood: setup ## what honest pilots notice when a stolen one sends as fast as it can
	$(PYTHON_IN_VENV) -m deploy.stack run --name flood -- $(PYTHON_IN_VENV) -m tests.bench.flood

bench-match: setup ## the matcher on up to ten million waiting jobs; MATCH="100k wake" names parts
	$(PYTHON_IN_VENV) -m deploy.stack run --name bench-match -- $(PYTHON_IN_VENV) -m tests.bench.match $(MATCH)
bench-fleet: setup ## what 100,000 simulated pilots cost for ten minutes (FLEET_PILOTS, FLEET_SECONDS, FLEET_TURNOVERS_PER_S)
	$(PYTHON_IN_VENV) -m deploy.stack run --name bench-fleet -- $(PYTHON_IN_VENV) -m tests.bench.fleet

bench-connections: setup ## 1,000 pilots with a TLS connection each, and how soon all have a job (CONNECTIONS)
	$(PYTHON_IN_VENV) -m deploy.stack run --name bench-connections -- $(PYTHON_IN_VENV) -m tests.bench.connections

bench-pilot: setup ## what a pilot weighs, how soon it works, and what its log costs the payload
	$(PYTHON_IN_VENV) -m deploy.stack run --name bench-pilot -- $(PYTHON_IN_VENV) -m tests.bench.pilot

bench-shares: setup ## what groups and users have in the long run, beside their shares
	$(PYTHON_IN_VENV) -m tests.bench.shares

attacks: setup ## every attack that is tried against the real broker, with its outcome
	PILOTBUS_ATTACKS=yes $(PYTHON_IN_VENV) -m deploy.stack run --name attacks -- $(PYTHON_IN_VENV) -m pytest -q -m attack

generate: setup ## schemas/types.py, schemas/asyncapi.json and schemas/tables/now.sql anew
	$(PYTHON_IN_VENV) -m deploy.generate
	$(PYTHON_IN_VENV) -m deploy.stack run --name generate -- $(PYTHON_IN_VENV) -m deploy.tables

lock: setup ## requirements.lock anew from pyproject.toml
	.venv/bin/pip-compile --allow-unsafe --extra dev --generate-hashes --no-emit-find-links --no-emit-index-url \
		--no-emit-trusted-host --strip-extras -o requirements.lock pyproject.toml

clean: ## no stack running, no data, no .venv
	@test ! -x $(PYTHON_IN_VENV) || $(PYTHON_IN_VENV) -m deploy.stack clean
	rm -rf .run .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
