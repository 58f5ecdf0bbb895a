"""Images and networks: decoding, torchvision's models with weights by name, file or none, operators that a CPU build lacks."""
