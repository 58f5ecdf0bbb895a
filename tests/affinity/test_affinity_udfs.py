"""The functions inside queries give what the arrays give, under threads too."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from groundswell.affinity import affinity_matrix, bags
from groundswell.vision.images import decode
from groundswell.vision.networks import network
from groundswell.udfs.affinity import register_affinity_udf
from groundswell.udfs.embed import register_embedding_udf

from .pictures import drawing


def test_affinities_inside_a_query():
    random = np.random.default_rng(0)
    prototypes = random.normal(size=(4, 3)).astype(np.float32)
    rows = [random.normal(size=(int(n), 3)).astype(np.float32).tolist() for n in random.integers(1, 4, 5000)]
    rows[7] = None
    connection = duckdb.connect(config={"threads": 2})
    register_affinity_udf(connection, "nearness", lambda found: affinity_matrix(bags(found), prototypes))
    connection.register("bag", pa.table({"id": range(5000), "v": pa.array(rows, pa.list_(pa.list_(pa.float32())))}))
    found = [s for (s,) in connection.execute("SELECT nearness(v) FROM bag ORDER BY id").fetchall()]
    assert found.pop(7) is None and rows.pop(7) is None
    assert np.array(found) == pytest.approx(affinity_matrix(bags(rows), prototypes), abs=1e-6)


def test_images_inside_a_query():
    net = network("squeezenet1_1", weights=None, size=64)
    images = [drawing("disc", i) for i in range(40)] + [b"broken", None]
    connection = duckdb.connect(config={"threads": 2})
    register_embedding_udf(connection, "embed_image", net, decode)
    connection.register("photo", pa.table({"id": range(42), "image": pa.array(images, pa.binary())}))
    found = [v for (v,) in connection.execute("SELECT embed_image(image) FROM photo ORDER BY id").fetchall()]
    assert found[40:] == [None, None]
    direct = net.maps(np.stack([decode(data, 64)[0] for data in images[:40]]))[0].mean(dim=(2, 3)).numpy()
    assert np.array(found[:40]) == pytest.approx(direct, abs=1e-5)
