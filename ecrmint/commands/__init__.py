"""One file a command; ``ecrmint.cli`` finds and loads them."""
