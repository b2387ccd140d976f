"""The model: its architecture, its arrays, and the lists of kernel calls that compute it."""
