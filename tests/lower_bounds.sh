#!/usr/bin/env bash
# Install the lowest versions that setup.cfg allows into an environment of their own, and run there
# what touches other libraries most: the model, reading, data sets, training, a diagnosis.
#
#   tests/lower_bounds.sh FOLDER
#
# PYTHON names another interpreter. TORCH another torch than the lowest, whose wheels from PyPI
# come with CUDA: TORCH=2.13.0+cpu FIND_LINKS=/opt/wheels tests/lower_bounds.sh /tmp/lowest
set -euo pipefail
cd "$(dirname "$0")/.."
environment=${1:?usage: tests/lower_bounds.sh FOLDER}
"${PYTHON:-python3}" -m venv "$environment"
bin=$environment/bin
"$bin/python" -m pip install --quiet uv
echo "torch==${TORCH:-$(sed -n 's/^ *torch >= //p' setup.cfg)}" > "$environment/torch.txt"
"$bin/uv" pip install --quiet --python "$bin/python" --resolution lowest-direct \
  ${FIND_LINKS:+--find-links "$FIND_LINKS"} --overrides "$environment/torch.txt" --editable '.[test]'
"$bin/python" -m pytest -q -m "not slow and not gpu" -p no:cacheprovider \
  tests/test_package.py tests/model tests/imaging/dicom tests/imaging/test_nifti.py \
  tests/checkpoints tests/data/store tests/inference/test_diagnose.py \
  tests/metrics/test_class_metrics.py tests/training/test_trainer.py \
  tests/training/methods tests/reports tests/cli/test_diagnose_command.py
