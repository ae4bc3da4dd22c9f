"""What a change reaches, told from the text of files: names of modules, who imports whom, who owns what."""
