"""What all console scripts share: usage text, options, configuration, signals. Shell."""
