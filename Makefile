.DEFAULT_GOAL := help
PY := .venv/bin/python

.PHONY: screenshots help setup setup-dev demo serve test lint sbom audit bench bench-truth lock clean

help: ## Show this help
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: ## Make .venv with what the service needs
	@scripts/setup requirements.lock

setup-dev: ## Make .venv with what tests and linters need as well
	@scripts/setup requirements-dev.lock

demo: setup ## Open, play and report one course on Zoom and one on Teams, on this machine alone
	@$(PY) -m cli demo

serve: setup ## Run the service on http://127.0.0.1:8000, with stand-ins when no platform is configured
	@$(PY) -m cli serve --with-stand-ins

test: setup-dev ## Run every test; no network, no account, no server to start by hand
	@$(PY) -m pytest -n 5 --dist worksteal

screenshots: setup-dev ## Pictures of every page into docs/screenshots; needs chromium
	@$(PY) -m tests.browser.screenshots

lint: setup-dev ## Formatter, linter, strict types, security checks, secrets, licences
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@$(PY) -m bandit -q -c pyproject.toml -r course integration webhooks web bench scripts *.py
	@$(PY) scripts/secret_scan.py
	@$(PY) scripts/sbom.py --check

sbom: setup-dev ## What the service is made of, as CycloneDX (sbom.json), and its licences
	@$(PY) scripts/sbom.py

audit: ## Look every locked package up among the known vulnerabilities (needs the network)
	@scripts/audit

bench: setup-dev ## Measure webhooks against peers and beside open boards, openings against the limits, reports among many cohorts, as ratios (30 minutes)
	@$(PY) -m bench.webhooks
	@$(PY) -m bench.processes
	@$(PY) -m bench.opening --cohorts 1,100,1000
	@$(PY) -m bench.boards
	@$(PY) -m bench.standing

bench-truth: setup-dev ## Judge 100,000 invented carer-sessions whose truth is known, beside two baselines (10 minutes)
	@$(PY) -m bench.truth

lock: ## Resolve the dependencies anew (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate --extra setup pyproject.toml -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate --extra setup --extra test --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean: ## Remove .venv and everything made here
	rm -rf .venv var demo-output .pytest_cache .mypy_cache .ruff_cache .hypothesis
