"""What the commands that train models share: options, data, the run and its folder."""
