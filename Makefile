# Needs Python 3.11 or newer and make; PYTHON=/path/to/python3 picks one.
export PYTHON
PYTHON ?=
UV ?= uv
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate $(ARGS)

.PHONY: help demo test lint bench lock clean dev
help: ## Show this list
	@sed -n 's/^\([a-z]*\):.* ## \(.*\)/  make \1\t\2/p' Makefile

demo: ## Show ecrmint at work with a stand-in cloud; Ctrl-C ends it
	@tools/python tools/environment.py .venv requirements.txt
	@exec .venv/bin/ecrmint demo

test: lint ## Lint, check types, test the wheel, and test again on every newer Python here
	ECRMINT_TEST_WHEEL=1 .venv-dev/bin/pytest --cov
	@ECRMINT_TEST_WHEEL=1 .venv-dev/bin/python tools/newer.py

lint: dev ## Lint and check types
	.venv-dev/bin/ruff check
	.venv-dev/bin/ruff format --check
	.venv-dev/bin/mypy

bench: dev ## Measure speed and memory beside Go's; see bench/README.md
	PYTHONPATH=tests .venv-dev/bin/python -m bench.warm
	PYTHONPATH=tests .venv-dev/bin/python -m bench.start
	PYTHONPATH=tests .venv-dev/bin/python -m bench.parts
	PYTHONPATH=tests .venv-dev/bin/python -m bench.accounts
	PYTHONPATH=tests .venv-dev/bin/python -m bench.rules

dev: ## Make .venv-dev: the tests' and tools' packages, and the wheel
	@tools/python tools/environment.py .venv-dev requirements-dev.txt

lock: ## Lock again after a change of pyproject.toml; ARGS=--upgrade takes newer releases. Needs uv
	$(COMPILE) pyproject.toml --output-file requirements.txt > /dev/null
	$(COMPILE) --group build --constraints requirements.txt --output-file requirements-build.txt > /dev/null
	$(COMPILE) pyproject.toml --group dev --constraints requirements.txt --constraints requirements-build.txt --output-file requirements-dev.txt > /dev/null
	$(COMPILE) tests/aws/requirements.in --output-file tests/aws/requirements.txt > /dev/null

clean: ## Remove everything that was made here
	rm -rf .venv* .cache .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
