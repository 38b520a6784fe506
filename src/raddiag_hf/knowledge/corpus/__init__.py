"""Medical concepts, their names and relations, from ICD-10-CM, UMLS and articles."""
