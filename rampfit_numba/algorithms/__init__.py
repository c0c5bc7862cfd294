"""The Python around the kernels: what holds for an exposure, where its arrays are, tables. One folder an algorithm."""
