"""Files: whole or absent, locked, and what stands in them."""
