"""Image services against what is known of drawn pictures and of a network with real weights; and every image that is none."""

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from groundswell.errors import AffinityError
from groundswell.services.detection import named
from groundswell.services.pixels import COLOURS, TEXTURE, colour_shares, texture_statistics, to_lab
from groundswell.vision.operators import detectors, non_maximum_suppression
from tests.affinity.pictures import drawing, encoded
from tests.shared_data import shared

SQUEEZENET = {"network": "squeezenet1_0", "weights": "squeezenet_v1.0_deepcompressed.npz", "convention": "caffe"}


def picture(*parts, size=(40, 20), form="PNG"):
    """Columns of equal width, each of one colour."""
    image = Image.new("RGB", size)
    for i, colour in enumerate(parts):
        image.paste(colour, (i * size[0] // len(parts), 0, size[0], size[1]))
    return encoded(image, form)


def images(*found):
    """Encoded images as an Arrow array."""
    return pa.array(found, pa.binary())


def test_colours_of_painted_columns(ready):
    colours = ready("image_colours")
    found = colours(images(picture((255, 0, 0)), picture((255, 0, 0), (255, 0, 0), (0, 0, 255)), picture((255, 255, 255), (0, 0, 0)), picture((128, 128, 128)), picture((20, 160, 40)), picture((255, 240, 0))))
    assert found.values.to_pylist() == [["red"], ["red", "blue"], ["black", "white"], ["grey"], ["green"], ["yellow"]]
    assert found.problems == [None] * 6


def test_every_typical_colour_is_itself_and_shares_are_a_distribution():
    pixels = np.array(list(COLOURS.values()), np.uint8)[:, :, None, None].repeat(8, 2).repeat(8, 3)
    assert np.array_equal(colour_shares(pixels).numpy(), np.eye(len(COLOURS), dtype=np.float32))
    noise = np.random.default_rng(0).integers(0, 256, (5, 3, 16, 16)).astype(np.uint8)
    assert np.allclose(colour_shares(noise).sum(dim=1).numpy(), 1)


def test_lab_of_published_colours():
    """White, sRGB red and blue as every colour reference gives them."""
    import torch

    rgb = torch.tensor([[1.0, 1, 1], [1, 0, 0], [0, 0, 1]])[:, :, None, None]
    expected = [(100, 0, 0), (53.24, 80.09, 67.20), (32.30, 79.19, -107.86)]
    assert np.allclose(to_lab(rgb)[:, :, 0, 0].numpy(), expected, atol=0.02)


def test_texture_of_stripes_is_where_the_edges_are():
    stripes = np.zeros((1, 3, 64, 64), np.uint8)
    stripes[:, :, :, ::8] = 255
    stripes[:, :, :, 1::8] = 255
    flat = np.full((1, 3, 64, 64), 128, np.uint8)
    values = dict(zip(TEXTURE, texture_statistics(stripes).numpy()[0]))
    turned = dict(zip(TEXTURE, texture_statistics(stripes.transpose(0, 1, 3, 2).copy()).numpy()[0]))
    still = dict(zip(TEXTURE, texture_statistics(flat).numpy()[0]))
    assert values["edges at 0 degrees"] == pytest.approx(1) and turned["edges at 90 degrees"] == pytest.approx(1)
    assert values["brightness"] == pytest.approx(0.25) and values["saturation"] == values["colourfulness"] == 0
    assert still["contrast"] == still["edge density"] == still["entropy"] == 0 and still["symmetry"] == 1


def test_texture_does_not_depend_on_the_batch(ready):
    texture = ready("image_texture")
    found = [drawing("disc", seed) for seed in range(6)]
    together, alone = texture(images(*found)).values, [texture(images(each)).values[0] for each in found]
    assert np.allclose(np.array(together.to_pylist()), np.array([each.as_py() for each in alone]), atol=1e-5)
    assert together.type == pa.list_(pa.float32(), 16)


@pytest.mark.parametrize("kind", ["image_colours", "image_texture"])
def test_images_that_are_none_get_no_answer_and_say_why(ready, kind, monkeypatch):
    from groundswell.vision import images as decoding

    monkeypatch.setattr(decoding, "HUGE", 10_000)
    grey, tiny = encoded(Image.new("L", (30, 30), 90)), encoded(Image.new("RGB", (1, 1), "red"))
    found = ready(kind)(images(b"", b"not an image", picture((255, 0, 0))[:60], picture((1, 2, 3), size=(200, 100)), grey, tiny))
    assert [value is None for value in found.values.to_pylist()] == [True, True, True, True, False, False]
    assert found.problems[0] == "empty" and found.problems[1] == found.problems[2] == "cannot be decoded" and "pixels" in found.problems[3]
    assert found.problems[4:] == [None, None]


def test_a_batch_of_nothing_usable(ready):
    found = ready("image_texture")(images(b"", b"x"))
    assert found.values.null_count == 2 and found.values.type == pa.list_(pa.float32(), 16)


@pytest.fixture(scope="module")
def pets():
    """A few photos of cats and dogs, and what they show."""
    query = f"SELECT image, label FROM '{shared('dogs_cats')}/images.parquet' ORDER BY hash(image) LIMIT 24"
    return duckdb.sql(query).fetchall()


def test_categories_of_a_network_with_real_weights(ready, pets):
    categories = ready("image_categories", root=shared("cnn_weights_squeezenet"), most=3, **SQUEEZENET)
    found = categories(images(*(image for image, _ in pets))).values.to_pylist()
    cats = {"tabby", "tiger cat", "Egyptian cat", "Persian cat", "Siamese cat", "lynx"}
    seen = {label: [bool(cats & set(names)) for names, (_, of) in zip(found, pets) if of == label] for label in {label for _, label in pets}}
    shares = sorted(sum(each) / len(each) for each in seen.values())
    assert len(shares) == 2 and shares[1] - shares[0] > 0.5 and ready.notes == []
    assert all(len(names) <= 3 for names in found)


def test_embeddings_are_the_mean_of_the_last_filter_map(ready, pets):
    from groundswell.vision.images import decode
    from groundswell.vision.networks import network

    embedding = ready("image_embedding", root=shared("cnn_weights_squeezenet"), **SQUEEZENET)
    found = embedding(images(pets[0][0], b"", pets[1][0])).values
    net = network("squeezenet1_0", weights=shared("cnn_weights_squeezenet") / SQUEEZENET["weights"], convention="caffe")
    expected = net.maps(decode(pets[1][0], 227)[0][None])[0].mean(dim=(2, 3)).numpy()[0]
    assert found.type == pa.list_(pa.float32(), 512) and found[1].as_py() is None and np.allclose(found[2].as_py(), expected, atol=1e-4)


@pytest.mark.parametrize(("settings", "width"), [({"network": "squeezenet1_1"}, 512), ({"network": "resnet18", "layer": "layer2"}, 128), ({"network": "mobilenet_v3_small"}, 576)])
def test_the_width_is_known_without_weights(ready, settings, width):
    embedding = ready("image_embedding", weights=None, size=64, **settings)
    assert ready.service.returns == f"FLOAT[{width}]" and [d.code for d in ready.notes] == ["AF202"]
    assert embedding(images(drawing("disc", 0))).values.type == pa.list_(pa.float32(), width)


def test_categories_may_be_named_by_a_file(ready, tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(f"thing {i}" for i in range(1000)))
    found = ready("image_categories", weights=None, network="squeezenet1_1", size=64, categories="names.txt", least=0.0, most=2)(images(drawing("disc", 0))).values.to_pylist()
    assert len(found[0]) == 2 and all(name.startswith("thing ") for name in found[0])


@pytest.mark.parametrize(("kind", "settings", "code"), [
    ("image_objects", {"network": "fasterrcn_resnet50_fpn"}, "AF102"), ("image_objects", {"weights": "there_is_none.pth"}, "AF104"),
    ("image_categories", {"network": "squeezenet1_1", "weights": "there_is_none.npz"}, "AF104"), ("image_categories", {"network": "squeezenet1_1", "weights": None, "categories": "none.txt"}, "AF104"),
])  # fmt: skip
def test_networks_and_weights_that_are_not_there(ready, kind, settings, code):
    with pytest.raises(AffinityError) as error:
        ready(kind, **settings)
    assert error.value.code == code


def test_detection_without_weights_warns_loudly_and_runs(ready):
    objects = ready("image_objects", weights=None, least=0.0)
    (warning,) = ready.notes
    assert warning.code == "AF202" and "noise" in warning.message
    found = objects(images(drawing("disc", 1), b"")).values.to_pylist()
    assert isinstance(found[0], list) and found[1] is None


def test_names_of_detected_things():
    names = ["__background__", "person", "bicycle", "N/A", "car"]
    assert named([1, 4, 1, 3, 2], [0.9, 0.8, 0.7, 0.6, 0.1], names, 0.5) == ["person", "car"]
    assert named([], [], names, 0.5) == []


def test_non_maximum_suppression_by_hand_and_by_brute_force():
    import torch

    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]])
    assert non_maximum_suppression(boxes, torch.tensor([0.8, 0.9, 0.1]), 0.5).tolist() == [1, 2]  # IoU 81 / 119 = .68
    random = np.random.default_rng(0)
    corner, size, scores = random.uniform(0, 50, (60, 2)), random.uniform(5, 30, (60, 2)), random.permutation(60) / 60

    def iou(a, b):
        low, high = np.maximum(corner[a], corner[b]), np.minimum(corner[a] + size[a], corner[b] + size[b])
        shared_area = np.prod(np.clip(high - low, 0, None))
        return shared_area / (np.prod(size[a]) + np.prod(size[b]) - shared_area)

    kept = []
    for i in np.argsort(-scores):
        if all(iou(i, j) <= 0.4 for j in kept):
            kept.append(int(i))
    found = non_maximum_suppression(torch.tensor(np.hstack([corner, corner + size])), torch.tensor(scores), 0.4)
    assert found.tolist() == kept


def test_detectors_run_beside_this_torch():
    assert "ssdlite320_mobilenet_v3_large" in dir(detectors())
