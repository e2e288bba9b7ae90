# Two commands matter: `make run` and `make test`. The first thing either does is to install what is missing.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv
SERVER := .venv/.server-installed
TOOLS := .venv/.tools-installed
# One more than most machines have cores: tests also wait, for servers and browsers.
JOBS ?= 3
COMPOSE := docker-compose.yml deploy/compose/postgres.yml deploy/compose/qdrant-key.yml deploy/compose/monitoring.yml deploy/compose/tls.yml
MONITORING := deploy/monitoring/prometheus.yml deploy/monitoring/alerts.yml deploy/monitoring/grafana/datasource.yml deploy/monitoring/grafana/dashboards.yml
REDOCLY := REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true npx --yes @redocly/cli@2.77.0
DATA ?= ../shared/data/retrieval

# Tests start hundreds of programs, which begin sooner with what was compiled before.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run test test-long soak check types style fuzz bench install setup lock audit sbom image-digests generated screenshots format clean

run: $(SERVER)  ## start everything: the API on 8000, the chat page on 8501
	@exec $(BIN)/python app.py

test: $(TOOLS)  ## what must hold after each change, with real servers
	$(BIN)/pytest -n $(JOBS) --dist worksteal -m "not long or smoke"

test-long: $(TOOLS)  ## the other tests: stores that die, deployment, the browser
	@# The files that have some: to import all others takes each process seconds. tests/conftest.py sees that none is missed.
	$(BIN)/pytest -n $(JOBS) --dist worksteal -m "long and not smoke and not alone and not soak" $$(grep -rlE --include='test_*.py' 'mark\.long' tests)
	$(BIN)/pytest -m alone $$(grep -rlE --include='test_*.py' 'mark\.alone' tests)

soak: $(TOOLS)  ## the tests that are too long for every change: faults again and again, moves, the commands of docs
	$(BIN)/pytest -n $(JOBS) --dist worksteal -m soak $$(grep -rlE --include='test_*.py' 'mark\.soak' tests)

check: types style  ## style, types, which package may import which, the container files and the API's description

types: $(TOOLS)  ## the types alone
	$(BIN)/mypy

style: $(TOOLS)  ## check without the types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/yamllint --strict $(COMPOSE) $(MONITORING) deploy/compose/dclint.yaml .yamllint.yaml
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec $(COMPOSE)
	@if command -v npx >/dev/null; then npx --yes dclint@3.1.0 --max-warnings 0 -c deploy/compose/dclint.yaml $(COMPOSE); \
	elif [ "$$CI" = true ]; then echo "dclint: npx is not installed"; exit 1; \
	else echo "dclint skipped: npx is not installed"; fi
	$(BIN)/flask --app app:create_app openapi --output .venv/openapi.json
	@if command -v npx >/dev/null; then $(REDOCLY) lint --extends recommended-strict .venv/openapi.json; \
	elif [ "$$CI" = true ]; then echo "redocly: npx is not installed"; exit 1; \
	else echo "redocly skipped: npx is not installed"; fi

fuzz: $(TOOLS)  ## send a running service 10,000 requests and more, made from its OpenAPI document
	$(BIN)/python -m tests.contract.fuzz --cases 10000

bench: $(TOOLS)  ## the figures of the README, against their peers; results go to benchmarks/results
	$(BIN)/python -m benchmarks.retrieval $(DATA)
	$(BIN)/python -m benchmarks.answers $(DATA)
	$(BIN)/python -m benchmarks.mixed $(DATA)
	$(BIN)/python -m benchmarks.verification $(DATA)
	$(BIN)/python -m benchmarks.grounding $(DATA)/../grounding
	$(BIN)/python -m benchmarks.followups $(DATA)/../multiturn
	$(BIN)/python -m benchmarks.sql $(DATA)/../sql
	$(BIN)/python -m benchmarks.data_questions --save
	$(BIN)/python -m benchmarks.ingestion --mode celery
	$(BIN)/python -m benchmarks.fair_queue
	$(BIN)/python -m benchmarks.index_switch --change model --save
	$(BIN)/python -m benchmarks.index_switch --change passages --documents 100 --asides 5 --save
	$(BIN)/python -m benchmarks.chat
	$(BIN)/python -m benchmarks.widget_page --save
	$(BIN)/python -m benchmarks.chat_page --save
	$(UV) pip install -q --no-deps --require-hashes --target .venv/checkpointer_peers -r benchmarks/checkpointer_peers.txt
	$(BIN)/python -m benchmarks.checkpointer
	$(BIN)/python -m benchmarks.checkpointer_scale
	$(BIN)/python -m benchmarks.serving

screenshots: $(TOOLS)  ## take the documents' pictures of the chat page anew; look at them
	$(BIN)/python -m tests.clients.screenshots

install: export UV_COMPILE_BYTECODE = 1
install: $(SERVER)  ## install what a server needs, without the tools of tests, and start nothing
	@# A service that must not write its own sources would compile them at every start.
	$(BIN)/python -m compileall -q -j 0 -x '(^|/)(\.venv|tests|benchmarks)/' .

help:  ## list these commands
	@sed -nE 's/^([a-z-]+):[^#]*  ## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(TOOLS)  ## install everything without starting anything

lock: $(UV)  ## compile requirements*.txt anew from requirements*.in
	$(UV) pip compile -q --generate-hashes --universal --no-emit-index-url --python-version 3.11 requirements.in -o requirements.txt
	$(UV) pip compile -q --generate-hashes --universal --no-emit-index-url --python-version 3.11 requirements-dev.in -o requirements-dev.txt
	$(UV) pip compile -q --generate-hashes --universal --no-emit-index-url --python-version 3.11 requirements-sentry.in -o requirements-sentry.txt
	$(UV) pip compile -q --generate-hashes --universal --no-emit-index-url --python-version 3.11 requirements-otel.in -o requirements-otel.txt
	$(UV) pip compile -q --generate-hashes --universal --no-emit-index-url --python-version 3.11 requirements-entailment.in -o requirements-entailment.txt
	$(UV) pip compile -q --generate-hashes --universal --no-emit-index-url --python-version 3.11 requirements-models.in -o requirements-models.txt
	$(UV) pip compile -q --generate-hashes --universal --no-emit-index-url --python-version 3.11 requirements-speech.in -o requirements-speech.txt

audit: $(TOOLS)  ## known vulnerabilities of what is pinned; says so where they cannot be looked up
	$(BIN)/python deploy/audit.py $(AUDIT) requirements-sentry.txt requirements-otel.txt requirements-entailment.txt requirements-models.txt requirements-speech.txt requirements.txt

sbom: $(TOOLS)  ## what a server consists of, as sbom.json (CycloneDX 1.6)
	$(BIN)/cyclonedx-py requirements --of JSON --sv 1.6 --output-reproducible -o sbom.json requirements.txt

image-digests:  ## name the images of the compose files and the Dockerfile by their digests of today; needs Docker
	$(PYTHON) deploy/image_digests.py

generated: $(SERVER)  ## write anew what is made from config.py: .env.example, the tables of settings
	$(BIN)/python -m bootstrap.settings_text

format: $(TOOLS)  ## correct the style where that can be done by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## forget the environment; the data folder stays
	rm -rf .venv

# pip takes minutes where uv takes seconds: pip installs uv, uv the rest.
$(UV):
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check uv==0.13.8

$(SERVER): requirements.txt | $(UV)
	VIRTUAL_ENV=.venv $(UV) pip install -q --require-hashes -r requirements.txt
	@touch $@

$(TOOLS): requirements.txt requirements-dev.txt requirements-speech.txt | $(UV)
	VIRTUAL_ENV=.venv $(UV) pip install -q --require-hashes -r requirements.txt -r requirements-dev.txt -r requirements-speech.txt
	@touch $@ $(SERVER)
