#!/usr/bin/env bash
# Run the tests of timm's models as backbones, in an environment of their own: timm needs
# torchvision, whose wheels on PyPI are built for CUDA and fail to import beside a CPU build of
# torch, such as an environment for the other tests may have. Takes 6 GB.
#
#   tests/timm.sh FOLDER
set -euo pipefail
cd "$(dirname "$0")/.."
environment=${1:?usage: tests/timm.sh FOLDER}
"${PYTHON:-python3}" -m venv "$environment"
bin=$environment/bin
grep -v '^torch==' constraints.txt > "$environment/constraints.txt"  # a torch that torchvision has
"$bin/python" -m pip install --quiet --constraint "$environment/constraints.txt" \
  --editable '.[test,timm]'
"$bin/python" -m pytest -q -p no:cacheprovider tests/checkpoints/test_timm_backbones.py \
  tests/checkpoints/test_backbone_kinds.py tests/checkpoints/test_backbones.py \
  tests/model/test_backbone.py
