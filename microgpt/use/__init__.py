"""What a trained model is for: generating text, and telling how well it predicts one."""
