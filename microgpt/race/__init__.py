"""A race: many paired runs that settle which of several settings is better, and by how much."""
