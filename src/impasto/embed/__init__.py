"""Maps of a collection: where pictures lie beside each other for a network."""
