"""Images as they come: odd ones are counted, none stops the rest; filter maps are found again by content."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from groundswell.affinity.cache import MapCache
from groundswell.vision.images import Oddities, decode, decoded
from groundswell.vision.networks import network

from .pictures import drawing, encoded


def grey(mode: str) -> bytes:
    """A grey ramp in some mode."""
    ramp = np.linspace(0, 255, 64 * 64).reshape(64, 64)
    return encoded(Image.fromarray((ramp * (200 if mode == "I;16" else 1)).astype(np.uint16 if mode == "I;16" else np.uint8)))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (None, "empty"), (b"", "empty"), (b"not an image", "unreadable"), (drawing("disc", 0)[:200], "unreadable"), (drawing("disc", 0), None),
        (grey("L"), "grey"), (grey("I;16"), "grey"), (encoded(Image.new("RGB", (1, 900))), "tiny"), (encoded(Image.new("1", (20_000, 6_000))), "huge"),
    ],
)  # fmt: skip
def test_what_is_odd_about_an_image(data, kind):
    pixels, oddity = decode(data, 32)
    assert oddity == kind
    assert (pixels is None) == (kind in ("empty", "unreadable", "huge"))
    if pixels is not None:
        assert pixels.shape == (3, 32, 32) and pixels.dtype == np.uint8


def test_channels_and_place_survive_decoding():
    image = Image.new("RGB", (80, 40), "red")
    image.paste((0, 0, 255), (40, 0, 80, 40))
    pixels, _ = decode(encoded(image), 20)
    assert pixels[:, 10, 2].tolist() == [255, 0, 0] and pixels[:, 10, 17].tolist() == [0, 0, 255]


def test_sixteen_bit_grey_keeps_its_range():
    pixels, _ = decode(grey("I;16"), 32)
    assert pixels.min() < 10 and pixels.max() > 245


def test_transparent_images_are_seen_on_white():
    pixels, _ = decode(encoded(Image.new("RGBA", (40, 40), (0, 0, 0, 0))), 16)
    assert (pixels == 255).all()


def test_turned_photos_are_turned_back():
    image = Image.new("RGB", (60, 30), "black")
    image.paste((255, 255, 255), (0, 0, 10, 30))
    exif = image.getexif()
    exif[0x0112] = 6  # the camera was turned: the left edge belongs on top
    import io

    file = io.BytesIO()
    image.save(file, "JPEG", exif=exif)
    pixels, _ = decode(file.getvalue(), 30)
    assert pixels[0, 1].mean() > 200 and pixels[0, 28].mean() < 50


def test_every_image_is_accounted_for():
    oddities = Oddities()
    images = [("a", drawing("disc", 1)), ("b", b"x"), ("c", None), ("d", drawing("disc", 2)), ("e", grey("L"))]
    batches = list(decoded(images, 16, 2, oddities))
    assert [key for keys, _ in batches for key in keys] == ["a", "d", "e"]
    assert oddities.counts == {"unreadable": 1, "empty": 1, "grey": 1}
    assert [(d.code, "e.g. b" in d.message) for d in oddities.diagnostics()] == [("AF201", True), ("AF201", False), ("AF204", False)]


@pytest.fixture(scope="module")
def net():
    """A small network with random weights."""
    return network("squeezenet1_1", weights=None, size=64)


def counting(net, monkeypatch) -> list[int]:
    """Sizes of the batches that go through the network from now on."""
    sizes, maps = [], net.maps
    monkeypatch.setattr(net, "maps", lambda pixels: sizes.append(len(pixels)) or maps(pixels))
    return sizes


def test_a_killed_run_goes_on_where_it_was(net, tmp_path, monkeypatch):
    images = [(i, drawing("disc", i)) for i in range(40)]

    def killed():
        yield from images[:34]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        MapCache(tmp_path, net).fill(killed(), Oddities())
    sizes = counting(net, monkeypatch)
    cache = MapCache(tmp_path, net)
    hashes = cache.fill(images, Oddities())
    assert sum(sizes) <= 8 + 32 and len(hashes) == 40
    first = sum(sizes)
    again = MapCache(tmp_path, net)
    again.fill(images, Oddities())
    assert sum(sizes) == first, "everything was known"


def test_maps_from_the_cache_are_those_of_the_network(net, tmp_path):
    images = [(i, drawing("stripes", i)) for i in range(3)] + [(3, drawing("stripes", 0))]
    cache, oddities = MapCache(tmp_path, net), Oddities()
    hashes = cache.fill(images, oddities)
    assert hashes[3] == hashes[0] and oddities.counts == {"repeated": 1}
    parts = cache.parts([hashes[2], hashes[0]], grid=None)
    direct = net.maps(np.stack([decode(images[i][1], net.size)[0] for i in (2, 0)]))[0]
    assert np.allclose(parts.block(0, 2)[0].transpose(0, 2, 1).reshape(direct.shape), direct.numpy(), atol=1e-5)


def test_oddities_are_remembered_with_the_maps(net, tmp_path):
    for _ in range(2):
        oddities = Oddities()
        MapCache(tmp_path, net).fill([("g", grey("L")), ("x", b"?")], oddities)
        assert oddities.counts == {"grey": 1, "unreadable": 1}


def test_another_network_has_another_cache(net, tmp_path):
    other = network("squeezenet1_1", weights=None, size=64, seed=1)
    assert MapCache(tmp_path, net).folder != MapCache(tmp_path, other).folder
