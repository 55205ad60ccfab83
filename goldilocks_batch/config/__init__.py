"""What a run is asked to do: options as frozen objects, read from YAML and checked."""
