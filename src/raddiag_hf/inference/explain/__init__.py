"""Why a case was diagnosed so: saliency, slices, shares of scans."""
