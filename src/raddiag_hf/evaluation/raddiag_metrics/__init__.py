"""A folder for ``evaluate.load``; the module beside this file is what it loads."""
