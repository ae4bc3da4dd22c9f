"""What a repository's past says of its files, held in memory and grown with every merge."""
