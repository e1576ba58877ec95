"""What subscribers ask a publisher: readiness, missed events, positions. Shell."""
