"""What documents say differently of the same thing: found sentence by sentence, and told with an answer."""
