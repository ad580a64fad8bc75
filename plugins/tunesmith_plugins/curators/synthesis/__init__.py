"""The parts of `Synthesise`: the endpoint, what it is asked, what is kept of its answers, and the queue for people."""
