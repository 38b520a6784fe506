"""A model on a data set: predictions, breakdowns, comparison, tables, figures."""
