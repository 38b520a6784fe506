"""Bounds of the sizes in a configuration: beyond any network, and below what hangs a machine."""

LARGEST_SIZES = {
    "image_size": 8192,
    "max_slices": 65_536,
    "num_channels": 256,
    "resnet_width": 4096,
    "patch_size": 8192,
    "cube_depth": 65_536,
    "patch_mlp_layers": 1000,
    "hidden_size": 131_072,
    "num_hidden_layers": 1000,
    "num_fusion_layers": 1000,
    "intermediate_size": 524_288,
    "label_embedding_size": 131_072,
    "encoder_chunk_size": 2**31,
    "num_modality_slots": 65_536,
}
"""Field of `RadDiagConfig` -> its largest value; the smallest is 1."""
