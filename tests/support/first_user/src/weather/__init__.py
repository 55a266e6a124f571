"""Weather datasets."""
