# Thin calls of scripts/; the same ones CI uses. `make help` lists them.
PY := .venv/bin/python
.DEFAULT_GOAL := help
.PHONY: help install run test test-all quick sure bench screenshots vendor lock

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

install: ## install what is missing (Debian packages, .venv); make run does this by itself
	@scripts/install

run: ## start Zentry on http://localhost:8080 (PORT, ZENTRY_DATA, ZENTRY_COMPUTE=simulator)
	@scripts/run

test: ## everything, as CI runs it: lint, types, all tests with real guests, PostgreSQL and Chromium
	@scripts/test

test-all: ## make test, what takes minutes (Debian built and booted, a console of ten minutes), then make bench
	@scripts/test
	@scripts/test -m slow tests/real tests/browser
	@scripts/bench

quick: ## every rule, the face of each service on SQLite, every page once: in under a minute
	@scripts/quick

sure: ## lint, format, types, import layers, templates
	@scripts/install --test
	@scripts/sure

bench: ## measure; one JSON line per figure, and all of them in build/bench/report.md
	@scripts/bench

screenshots: ## every page in light, dark and phone width, into screenshots/
	@scripts/install --test
	@$(PY) -m tests.browser.screenshots

vendor: ## fetch the front-end files named in the manifest again
	@scripts/install --test
	@scripts/vendor

lock: ## lock the Python packages that setup.cfg asks for (scripts/lock --upgrade for newer ones)
	@scripts/lock
