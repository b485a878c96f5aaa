# Everything a newcomer needs: each target sets up its own environment first.
#   make demo         self-training on generated scenes, before and after; open runs/demo/report.html
#   make demo-addons  the same beside tensorflow-addons; open runs/demo-addons/report.html
#   make test         the tests, on TensorFlow 2.21 and Keras 3
#   make test-slow    those that train for long, and the notebooks
#   make test-addons  the tests beside tensorflow-addons, on TensorFlow 2.15 and Keras 2.15 (Python 3.11)
#   make bench        kerassl's training step beside what else there is: pairs a second, memory (docs/results/benchmarks.md)
#   make bench-lightly  sets up lightly on PyTorch, so that `make bench` has its row too (Python 3.11)
#   make golden       the working tree beside a commit before it: the same numbers, to the bit, on both stacks
#   make docs         the documentation site, with its links checked; open build/site/index.html
#   make lint         formatting, common mistakes, layers of packages, types, and words
.PHONY: demo demo-addons test test-slow test-addons golden lint docs bench bench-lightly clean

# A name alone is no Python: a version manager's shim may answer that it has none. So each is asked.
find_python = $(shell for p in $(1); do $$p -c 'import venv, ensurepip' >/dev/null 2>&1 && echo $$p && break; done)
PYTHON ?= $(call find_python,python3.13 python3.12 python3.11)
PYTHON_ADDONS ?= $(call find_python,python3.11)

demo: .venv/.ready
	$(call run_demo,.venv/bin,runs/demo)

demo-addons: .venv-addons/.ready
	$(call run_demo,.venv-addons/bin,runs/demo-addons)

define run_demo
	mkdir -p runs && rm -f $(2)-backbone.keras
	$(1)/python examples/small_backbone.py $(2)-backbone.keras
	$(1)/kerassl self-train --config configs/demo.yaml --backbone $(2)-backbone.keras --out $(2) --replace
endef

test: .venv/.ready
	.venv/bin/python -m pytest -m "not slow"

test-slow: .venv/.ready
	.venv/bin/python -m pytest -m slow

test-addons: .venv-addons/.ready
	.venv-addons/bin/python -m pytest -m "not slow"

golden: .venv/.ready .venv-addons/.ready
	.venv/bin/python -m studies.golden $(if $(ONLY),--only $(ONLY))

lint: .venv/.ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/lint-imports
	.venv/bin/mypy
	.venv/bin/python .ci/glossary.py
	.venv/bin/python .ci/folders.py

docs: .venv-docs/.ready
	NO_MKDOCS_2_WARNING=1 PYTHONDONTWRITEBYTECODE=1 .venv-docs/bin/python -m mkdocs build --strict --quiet --site-dir build/site
	@echo "open build/site/index.html"

bench: .venv/.ready
	.venv/bin/python -m benchmarks.step

.venv/.ready: requirements/current.txt setup.cfg
	@test -n "$(PYTHON)" || { echo "kerassl needs Python 3.13, 3.12 or 3.11 with venv; none of them runs here: install one (on Debian: apt install python3 python3-venv), or give its path, as in: make test PYTHON=/path/to/python3.12"; exit 1; }
	$(PYTHON) -m venv --clear .venv
	.venv/bin/python -m pip install --quiet --requirement requirements/current.txt
	.venv/bin/python -m pip install --quiet --no-deps --editable .
	@touch $@

.venv-addons/.ready: requirements/addons.txt setup.cfg
	@test -n "$(PYTHON_ADDONS)" || { echo "tensorflow-addons needs Python 3.11 with venv, which does not run here: install it, or give its path, as in: make test-addons PYTHON_ADDONS=/path/to/python3.11"; exit 1; }
	$(PYTHON_ADDONS) -m venv --clear .venv-addons
	.venv-addons/bin/python -m pip install --quiet --requirement requirements/addons.txt
	.venv-addons/bin/python -m pip install --quiet --no-deps --editable .
	@touch $@

.venv-docs/.ready: requirements/docs.txt
	@test -n "$(PYTHON)" || { echo "the documentation needs Python 3.13, 3.12 or 3.11 with venv; give its path, as in: make docs PYTHON=/path/to/python3.12"; exit 1; }
	$(PYTHON) -m venv --clear .venv-docs
	.venv-docs/bin/python -m pip install --quiet --requirement requirements/docs.txt
	@touch $@

bench-lightly: .venv-lightly/.ready

.venv-lightly/.ready: requirements/bench-lightly.txt
	$(PYTHON_ADDONS) -m venv --clear .venv-lightly
	.venv-lightly/bin/python -m pip install --quiet --requirement requirements/bench-lightly.txt
	@touch $@

clean:
	rm -rf .venv .venv-addons .venv-lightly .venv-docs runs build *.egg-info
