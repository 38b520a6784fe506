"""Builders of public data sets from the publishers' own files."""
