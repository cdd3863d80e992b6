"""What objects are: resources, their rules, and what the API answers where a rule is broken."""
