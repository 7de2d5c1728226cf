"""Boots real kernels under QEMU and runs one program in each: what `ci/matrix` does. See docs/matrix.md."""
