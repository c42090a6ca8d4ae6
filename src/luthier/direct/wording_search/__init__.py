"""Search among wordings: proposed, scored, halved from round to round."""
