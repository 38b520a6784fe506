"""Models of any origin: loading, the authors' weights converted, adapters, devices."""
