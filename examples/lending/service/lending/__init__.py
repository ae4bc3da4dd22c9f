"""lending: scores and prices business-loan applications."""
