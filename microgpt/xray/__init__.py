"""The X-ray: what every head of a trained model does, in numbers, each measure in a file of its own."""
