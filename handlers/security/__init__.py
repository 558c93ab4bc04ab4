"""Who is shut out, who was refused, and who ran where."""
