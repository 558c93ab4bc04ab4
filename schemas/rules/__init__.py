"""Rules that are only thought: texts, descriptions, states and matching, without a clock, a file or a connection."""
