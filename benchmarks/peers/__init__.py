"""Other people's tools on the same bytes; each module is a script for the peers' interpreter."""
