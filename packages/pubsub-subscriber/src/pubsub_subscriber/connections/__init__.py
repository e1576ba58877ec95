"""The sockets that events arrive on, directly or through the broker. Shell."""
