"""The checks of the exercises, one module a notebook, written by `course build`."""
