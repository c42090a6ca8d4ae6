"""What every room stands on: it imports no other room."""
