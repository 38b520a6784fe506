"""Why a case was diagnosed so: saliency and the slices that show it."""
