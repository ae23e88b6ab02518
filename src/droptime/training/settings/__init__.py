"""Everything a run is told: its config, the paper's recipes and arms."""
