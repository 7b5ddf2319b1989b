"""Other people's tools on the same bytes; each module is a small script for the peers' interpreter."""
