"""One run of a sweep from where it is made: what is asked, how it is carried out, and what is told of it."""
