"""Runs `assay-bench`, shows what came of it, compares runs and draws a page: what `assay bench` does. See
bench/README.md."""
