"""Builders of public data sets, one folder each: how their publishers lay them out."""
