"""Tell whether two loaded models compute the same."""

import json

from raddiag_hf.checkpoints.loading import LoadedModel
from raddiag_hf.core.fingerprint import weights_fingerprint

_WITHOUT_EFFECT = frozenset(
    {
        "_name_or_path",
        "architectures",
        "calibration_temperature",
        "decision_threshold_source",
        "decision_thresholds",
        "dtype",
        "encoder_chunk_size",
        "transformers_version",
    }
)
"""Fields of a configuration that change no logit."""


def model_fingerprint(loaded: LoadedModel) -> str:
    """Return a SHA-256 of all that the logits of a model depend on, in hexadecimal.

    These are its weights, in the type that it computes in, its configuration except thresholds and
    calibration, and its image processor; not the device, nor how many slices are encoded at once.
    """
    config = {
        name: value
        for name, value in loaded.model.config.to_dict().items()
        if name not in _WITHOUT_EFFECT
    }
    settings = (config, loaded.processor.to_dict())
    prefix = json.dumps(settings, sort_keys=True, default=str).encode()
    return weights_fingerprint(loaded.model.state_dict(), prefix)
