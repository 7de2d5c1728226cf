"""Judges and shows the tests of many kernels, real and simulated: what `ci/report` does. See docs/matrix.md."""
