"""Looking inside a trained model: what each head does, and what it is worth in bits."""
