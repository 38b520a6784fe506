"""The whole way in a few minutes, without network or patients: phantoms in, a report out."""
