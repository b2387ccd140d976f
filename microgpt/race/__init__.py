"""A race: many paired training runs that settle which of several settings is better."""
