"""Medical concepts with their names, definitions and relations, from ICD-10-CM, UMLS and articles."""
