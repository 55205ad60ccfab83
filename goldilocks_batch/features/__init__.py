"""Features of primitive cells: symmetry, composition, structure, SOAP, lattice, metallicity."""
