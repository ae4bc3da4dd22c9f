package lending

# METADATA
# title: A loan has a ceiling
# description: Above this amount the board decides, whatever a rule says.
deny contains "board.amount" if input.amount > data.lending.ceiling
