"""Networks of torchvision: import, weights, layers, filter maps, receptive fields."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from groundswell.vision.networks import default_layer, network, normalised, outputs, spatial_layers
from groundswell.affinity.receptive_field import in_original, receptive_fields
from groundswell.errors import AffinityError
from tests.shared_data import shared


def test_torchvision_imports_beside_this_torch_without_a_warning():
    code = "from groundswell.vision.operators import torchvision; t = torchvision(); import torchvision.models as models; print(t.models is models)"
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert run.returncode == 0 and run.stdout.strip() == "True", run.stderr


def test_where_the_operators_load_nothing_is_declared(monkeypatch):
    from groundswell.vision import operators as vision

    vision.torchvision()  # this process has it by now, whatever ran before
    monkeypatch.setattr(vision, "_extension_loads", lambda: True)
    monkeypatch.setattr(vision, "_declare_operators", lambda: pytest.fail("declared"))
    vision.torchvision.__wrapped__()


def test_unknown_networks_name_the_nearest():
    with pytest.raises(AffinityError) as error:
        network("resnet_18", weights=None)
    assert error.value.code == "AF102" and "resnet18" in str(error.value)


def test_wrong_layers_name_the_nearest():
    with pytest.raises(AffinityError) as error:
        network("squeezenet1_1", ["features.22"], weights=None, size=64)
    assert error.value.code == "AF103" and "features.2" in str(error.value)
    with pytest.raises(AffinityError, match="no spatial map"):
        network("resnet18", ["fc"], weights=None, size=64)


@pytest.mark.parametrize(
    ("name", "layer"), [("vgg16", "features.30"), ("squeezenet1_0", "features.12"), ("resnet18", "layer4"), ("mobilenet_v3_small", "features.12"), ("shufflenet_v2_x0_5", "conv5")]
)
def test_default_layers(name, layer):
    from groundswell.vision.operators import torchvision

    module = torchvision().models.get_model(name, weights=None).eval()
    assert default_layer(module, spatial_layers(module, 96)) == layer


def test_random_weights_warn_and_follow_the_seed():
    one, same, other = (network("squeezenet1_1", weights=None, size=64, seed=s) for s in (0, 0, 1))
    assert [d.code for d in one.diagnostics] == ["AF202"]
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()


def test_weights_from_a_state_dict_a_file_and_an_npz_are_the_same(tmp_path):
    import torch

    state = network("squeezenet1_1", weights=None, size=64, seed=3).module.state_dict()
    torch.save(state, tmp_path / "w.pth")
    np.savez(tmp_path / "w.npz", **{k: v.numpy() for k, v in state.items()})
    prints = {network("squeezenet1_1", weights=w, size=64).fingerprint() for w in (state, tmp_path / "w.pth", str(tmp_path / "w.npz"))}
    assert len(prints) == 1


def test_weights_that_do_not_fit_say_so(tmp_path):
    import torch

    state = dict(network("squeezenet1_1", weights=None, size=64).module.state_dict())
    wrong_shape = state | {"classifier.1.bias": torch.zeros(7)}
    state.pop("classifier.1.bias")
    (tmp_path / "junk.pth").write_bytes(b"junk")
    (tmp_path / "junk.npz").write_bytes(b"junk")
    torch.save([1], tmp_path / "list.pth")
    for weights in (wrong_shape, state, tmp_path / "junk.pth", tmp_path / "junk.npz", tmp_path / "list.pth", tmp_path / "absent.pth"):
        with pytest.raises(AffinityError) as error:
            network("squeezenet1_1", weights=weights, size=64)
        assert error.value.code == "AF104"


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    import os
    import pickle

    class Bad:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    (tmp_path / "bad.pth").write_bytes(pickle.dumps(Bad()))
    with pytest.raises(AffinityError):
        network("squeezenet1_1", weights=tmp_path / "bad.pth", size=64)
    assert not (tmp_path / "ran").exists()


def test_weights_that_cannot_be_downloaded_say_what_to_do(monkeypatch):
    from groundswell.vision.operators import torchvision

    weights = torchvision().models.get_model_weights("squeezenet1_1").DEFAULT

    def offline(self, *_, **__):
        raise OSError("no network")

    monkeypatch.setattr(type(weights), "get_state_dict", offline)
    with pytest.raises(AffinityError) as error:
        network("squeezenet1_1", size=64)
    assert error.value.code == "AF104" and "FILE.pth" in str(error.value)


def test_pixels_are_read_as_each_convention_says():
    pixels = np.zeros((1, 3, 1, 1), np.uint8)
    pixels[0, :, 0, 0] = 255, 0, 51
    assert normalised(pixels, "caffe")[0, :, 0, 0].tolist() == [51 - 104, 0 - 117, 255 - 123]
    expected = [(1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225]
    assert normalised(pixels, "torchvision")[0, :, 0, 0].tolist() == pytest.approx(expected, rel=1e-5)


def test_filter_maps_are_those_of_a_plain_forward_pass():
    import torch

    net = network("squeezenet1_1", ["features.12", "features.7"], weights=None, size=64)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 64)).astype(np.uint8)
    last, middle = net.maps(pixels)
    images = normalised(pixels, "torchvision")
    with torch.inference_mode():
        assert torch.allclose(last, net.module.features[:13](images)) and torch.allclose(middle, net.module.features[:8](images))


def test_a_relu_in_place_does_not_reach_back_into_the_map():
    import torch

    net = network("vgg11", ["features.0"], weights=None, size=64)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 3, 64, 64)).astype(np.uint8)
    (found,) = net.maps(pixels)
    with torch.inference_mode():
        assert torch.equal(found, net.module.features[0](normalised(pixels, "torchvision"))) and found.min() < 0


def test_the_real_network_knows_its_birds():
    """The likeliest class of ImageNet is a bird (classes 7 to 24, 80 to 100, 127 to 146): weights and input convention are right."""
    import pyarrow.parquet as pq
    import torch

    from groundswell.vision.images import decode

    net = network("squeezenet1_0", weights=shared("cnn_weights_squeezenet") / "squeezenet_v1.0_deepcompressed.npz", convention="caffe")
    images = pq.read_table(shared("cub_goggles") / "images.parquet", columns=["image"])["image"].to_pylist()[::7]
    pixels = np.stack([decode(data, net.size)[0] for data in images])
    with torch.inference_mode():
        top = net.module(normalised(pixels, "caffe")).argmax(dim=1).numpy()
    birds = set(range(7, 25)) | set(range(80, 101)) | set(range(127, 147))
    assert np.mean([t in birds for t in top]) > 0.7  # 6 % by chance


@pytest.mark.parametrize(("name", "layer", "size"), [("squeezenet1_1", "features.4", 40), ("resnet18", "layer1", 40), ("vgg11", "features.10", 36)])
def test_receptive_fields_are_the_pixels_that_matter(name, layer, size):
    """Oracle: NaN in one row of pixels reaches exactly the positions whose field holds that row."""
    import torch

    net = network(name, [layer], weights=None, size=size)
    fields = receptive_fields(net, layer)
    for y in range(0, size, 3):
        image = torch.zeros(1, 3, size, size)
        image[:, :, y] = torch.nan
        with torch.inference_mode():
            reached = outputs(net.module, image, (layer,))[0].isnan().any(dim=1)[0].any(dim=1).numpy()
        inside = (fields[:, 0, 0] <= y) & (y < fields[:, 0, 2])
        assert np.array_equal(inside, reached), y


def test_patches_in_the_original_image():
    assert in_original(np.array([0, 50, 100, 100]), 100, 640, 480) == (320, 0, 640, 480)
