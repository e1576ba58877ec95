"""What clients and events do when the broker of a thousand clients is killed."""
