# One target a task; each runs from a fresh checkout. hack/install brings what is missing or says what to install.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
RUN := uv run --frozen --all-packages --all-groups
# Where Python writes no bytecode, every program that imports torch would compile a thousand modules anew: 2 of its 3.8 s.
export UV_COMPILE_BYTECODE := 1
# A file of tests on each core and one more, since they wait for almost half of their time: for programs that start, for leases
# and for resyncs. They run in their order: those that take long come early. With more threads torch's would fight.
export PYTEST_XDIST_AUTO_NUM_WORKERS := $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
SIDE_BY_SIDE := --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder
# Of the worker's image in test-e2e: docs/gpu.md.
CUDA := 13
TORCH_TESTS := tests/unit/transcription_worker/engines tests/unit/transcription_worker/test_doctor.py \
	tests/unit/transcription_worker/test_driver_mismatch.py tests/integration/engines
# Test binaries on PATH, and the kubeconfig of the kind cluster unless CLUSTER=existing.
WITH_CLUSTER := eval "$$(hack/cluster/env)" &&

help: ## This list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

install: ## What the machine lacks: uv, Go, ffmpeg, espeak-ng, flite
	hack/install

demo: install ## From a fresh machine to a printed transcript
	hack/cluster/up > /dev/null
	$(WITH_CLUSTER) $(RUN) python -m hack.demo

# Those on the cluster wait half of their time, and the cores are idle meanwhile. Each line says which of the two wrote it.
test: install lint ## Everything; what CI runs
	$(MAKE) --no-print-directory --jobs=2 test-here test-e2e SAID='2>&1 | sed --unbuffered "s/^/$$@: /"'

lint: ## ruff, mypy strict, import layers
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy api operator worker benchmarks hack tests
	$(RUN) lint-imports

test-unit: ## Needs neither root nor Docker
	OMP_NUM_THREADS=1 $(RUN) pytest $(SIDE_BY_SIDE) tests/unit

test-integration: ## Operator on a bare apiserver and etcd, worker on a real S3 server, the test model
	OMP_NUM_THREADS=1 $(RUN) pytest $(SIDE_BY_SIDE) tests/integration

test-here: ## Unit and integration tests in one run
	OMP_NUM_THREADS=1 $(RUN) pytest $(SIDE_BY_SIDE) tests/unit tests/integration $(SAID)

test-torch: CUDA := 12
test-torch: install ## The engines and kernels with the torch of the worker's other image
	OMP_NUM_THREADS=1 uv run --frozen --project worker/image/cuda$(CUDA) --group tests pytest $(SIDE_BY_SIDE) $(TORCH_TESTS)

test-gpu: install ## On a machine with a GPU, and fails without: our kernels beside torch's, CUDA graphs, the engine beside openai-whisper
	$(RUN) pytest -m gpu --require-gpu tests/unit tests/integration

test-faults: install ## Kills, lost answers, errors and broken watches at each write and event of a resource's life (20 minutes)
	$(RUN) python -m tests.faults $(PLANS)

test-fuzz: install ## 10,000 resources changed at random, valid and not, on a bare apiserver; FUZZ_SEED repeats a run (15 minutes)
	$(RUN) python -m tests.fuzz $(RESOURCES)

test-media-fuzz: install ## 1,000 media files of all containers and codecs, damaged at random; FUZZ_SEED repeats a run (5 minutes)
	$(RUN) python -m tests.media_fuzz $(MEDIA)

coverage: install ## Unit and integration tests with branch coverage of the api, the operator and the worker
	OMP_NUM_THREADS=1 $(RUN) pytest $(SIDE_BY_SIDE) --cov --cov-report=term tests/unit tests/integration

test-e2e: ## kind, both images, Helm; CUDA=12 for the worker's other image
	{ hack/cluster/up > /dev/null && $(WITH_CLUSTER) WORKER_CUDA=$(CUDA) $(RUN) pytest tests/e2e; } $(SAID)

# s3proxy needs Java 17 and Maven.
test-s3-servers: SERVERS := seaweedfs s3proxy moto
test-s3-servers: install ## The worker on S3 servers of other kinds, which it installs; SERVERS=moto runs it on one (10 minutes)
	failed=; for server in $(SERVERS); do \
	  echo "$$server:"; S3_SERVER=$$server OMP_NUM_THREADS=1 $(RUN) pytest $(SIDE_BY_SIDE) tests/integration/worker || failed+=" $$server"; \
	done; test -z "$$failed" || { echo "failed on$$failed"; exit 1; }

# Not part of make test. CHAOS_SEED repeats a run, CHAOS_SECONDS makes it shorter or longer.
test-chaos: install ## On the kind cluster: pods, nodes, API server, S3 and network disturbed at random; an upgrade (20 minutes)
	hack/cluster/up > /dev/null
	$(WITH_CLUSTER) $(RUN) pytest --capture=no tests/chaos

test-kueue: install ## On the kind cluster: Kueue, built from its module, admits, preempts and drains resources (12 minutes)
	hack/cluster/up > /dev/null
	$(WITH_CLUSTER) $(RUN) pytest tests/kueue

test-scale: install ## On the kind cluster: one resource over 10,000 files, its pods and the operator killed (30 minutes)
	hack/cluster/up > /dev/null
	$(WITH_CLUSTER) $(RUN) pytest --capture=no tests/scale

images: ## The operator's image, and the worker's for each CUDA, as NAME:dev
	hack/cluster/build-image transcription-operator:dev Dockerfile.operator
	hack/cluster/build-image transcription-worker:dev Dockerfile.worker
	hack/cluster/build-image transcription-worker-cuda12:dev Dockerfile.worker --build-arg CUDA=12

cluster: install ## A kind cluster with a control plane, a GPU node and a plain node
	hack/cluster/up

cluster-down: ## Removes all that make cluster started; built things stay cached
	hack/cluster/down

testmodel: ## Trains the test model anew (see hack/testmodel/README.md)
	$(RUN) python -m hack.testmodel.train --help

bench-operator: install ## A burst of 5,000 resources on a bare apiserver and etcd
	$(RUN) python -m benchmarks.operator_burst

bench: install ## The batched engine beside openai-whisper and faster-whisper, on the CPU
	$(RUN) python -m benchmarks.engines.cpu

bench-gpu: install ## The batched engine on a GPU: x real time, share of the roofline
	$(RUN) python -m benchmarks.engines.gpu

# On a machine without uv, and without a registry, in its own Python; GPU_CHECK="--device cpu" rehearses it.
gpu-check: ## On a machine with a GPU for minutes: proves the engine and measures what the project promises (9 minutes)
	$(if $(shell command -v uv),$(RUN) python,python3) -m benchmarks.gpu_check $(GPU_CHECK)

gpu-check-bundle: install ## build/gpu-check-bundle: what gpu-check takes along to a machine without a registry
	$(RUN) python -m benchmarks.gpu_check.make_bundle

bench-load: install ## A checkpoint of large-v3's size, by us and by whisper.load_model
	$(RUN) python -m benchmarks.model_load

bench-batch: install ## Many files in one resource, beside local files, one pod a file, and ffmpeg alone
	$(RUN) python -m benchmarks.batch

crds: ## crds/ from the dataclasses of the spec
	$(RUN) python -m hack.crd

docs: crds ## docs/reference.md, the options of docs/local.md, and docs/layers.svg
	$(RUN) python -m hack.docs

.PHONY: help install demo test lint test-unit test-integration test-here test-torch images test-gpu coverage test-e2e test-chaos test-kueue test-scale test-faults test-fuzz test-media-fuzz test-s3-servers cluster cluster-down testmodel bench bench-gpu gpu-check gpu-check-bundle bench-operator bench-load bench-batch crds docs
