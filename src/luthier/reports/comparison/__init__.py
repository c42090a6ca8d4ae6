"""A comparison: leaderboard, page, card, in both languages."""
