"""Pages: what a publish reads in HTML and writes into it, as [html] of rim.toml asks."""
