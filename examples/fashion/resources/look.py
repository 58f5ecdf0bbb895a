"""What a network that knows ImageNet sees in a photo. Without weights.npz (see build.py): weights = "DEFAULT" downloads torchvision's."""

import groundswell as gs

look = gs.service("image_embedding", network="squeezenet1_0", weights="weights.npz", convention="caffe")
