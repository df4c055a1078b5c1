"""AWS on this machine, without an account: nothing is billed, nothing leaves the loopback."""
