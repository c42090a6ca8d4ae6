"""A search among wordings, and how sure a wording is."""
