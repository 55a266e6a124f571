"""What the program knows by itself: identities, values, rules, settings. Nothing here asks anybody."""
