"""Pictures of what a router did: one Vega-Lite definition per figure, for the page and for files."""
