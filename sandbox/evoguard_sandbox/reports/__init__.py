"""What a foreign test command reports about itself, read with distrust."""
