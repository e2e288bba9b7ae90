"""Routes in the shapes of OpenAI's API, over the same runs as all others: for clients that exist already."""
