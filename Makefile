# One target a task; each runs from a fresh checkout. The scripts in hack/ install what is missing or say what to install.
SHELL := /bin/bash
.DEFAULT_GOAL := help
UV := uv run --frozen --all-packages --all-groups

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

lint: ## ruff, mypy strict, import layers
	$(UV) ruff check .
	$(UV) ruff format --check .
	$(UV) mypy api operator worker
	$(UV) lint-imports

test-unit: ## Needs neither root nor Docker
	$(UV) pytest tests/unit

.PHONY: help lint test-unit
