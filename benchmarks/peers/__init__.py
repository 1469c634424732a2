"""The algorithms of others, written anew, to be measured beside ours in one run."""
