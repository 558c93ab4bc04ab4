"""What a node has, read off it: control groups, GPUs, CVMFS, containers, architecture."""
