"""The report of an evaluation: sections, tables, wording."""
