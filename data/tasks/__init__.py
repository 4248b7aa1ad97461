"""Tasks: where problems come from, one module per source."""
