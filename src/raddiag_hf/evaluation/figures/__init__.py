"""The figures of an evaluation, one file each: for the report on screen, and for papers."""
