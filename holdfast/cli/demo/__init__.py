"""`holdfast demo`: the main job played against real servers, each step checked."""
