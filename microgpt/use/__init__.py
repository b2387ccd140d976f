"""Using a trained model: to generate text, and to measure how well it predicts one."""
