"""Pages of one HTML file each, that open anywhere without a network: what they share, and the live model."""
