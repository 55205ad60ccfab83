"""Features of crystals in blocks: composition, structure, SOAP, lattice, metallicity."""
