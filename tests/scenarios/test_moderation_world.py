"""The generated world: reproducible row by row, with the rates, gaps and shifts its files promise."""

import io

import numpy as np
import pytest
from moderation_world import ask, world

from groundswell.examples.moderation.build import Generator, Sizes
from groundswell.examples.moderation.parameters import binned, parameters, rows
from groundswell.examples.moderation.tables import noise_words

SMALL = (3_000, 900, 500)
MIDDLE = (30_000, 14_000, 6_000)
RELATIONS = ("text_post", "image_post", "human_label", "page", "member", "report")
LISTS = [r["feature"] for r in rows("service") if r["kind"] != "aggregate" and r["feature_set"] != "I"]


def content(folder, relation):
    return ask(folder, f"SELECT * FROM {relation} ORDER BY ALL")


@pytest.mark.parametrize("relation", RELATIONS)
def test_rows_do_not_depend_on_threads_but_on_the_seed(relation):
    first = content(world(*SMALL, threads=1), relation)
    assert first and first == content(world(*SMALL, threads=4), relation)
    assert first != content(world(*SMALL, seed=1), relation)


@pytest.mark.parametrize("relation", ("text_post", "human_label", "image_post"))
def test_a_larger_world_begins_with_the_smaller_one(relation):
    small = content(world(*SMALL), relation)
    large = set(map(repr, content(world(4_500, 1_700, 500), relation)))
    assert len(large) > len(small) and all(repr(row) in large for row in small)


def test_streams_and_seeds_are_independent():
    """Chi-square of pairs of draws in 16 x 16 cells; hash() of several values alone fails this by far."""
    generator, n = Generator(Sizes(1, 1, 1)), 200_000
    pairs = [("draw(i, 'a')", "draw(i, 'b')"), ("draw(i, 'topics')", "draw(i, 'topics sees')"), ("draw(i, 'a')", "draw(i + 1, 'a')"), ("draw(i, 'a')", "draw(i * 32 + 5, 'a')")]
    for a, b in pairs:
        found = generator.connection.execute(f"SELECT count(*) FROM range(1000000000, {1_000_000_000 + n}) AS t(i) GROUP BY floor(16 * {a}), floor(16 * {b})").fetchall()
        counts = np.array([c for (c,) in found])
        assert len(counts) == 256
        assert ((counts - n / 256) ** 2 / (n / 256)).sum() < 255 + 5 * np.sqrt(2 * 255)


@pytest.mark.parametrize("task", [t["name"] for t in rows("task")])
def test_positive_rates_are_those_of_table_1(task):
    wanted = {t["name"]: float(t["positive_rate"]) for t in rows("task")}[task]
    assert parameters().rate(task, "image") == pytest.approx(wanted, abs=1e-9)
    for modality, sign in (("image", ">"), ("text", "<")):
        by_user = np.array(ask(world(*MIDDLE), f"SELECT count(*), sum(CAST({task} AS INTEGER)) FROM truth JOIN {modality}_post USING (post_id) WHERE post_id {sign} 500000000 GROUP BY user_id"), float)
        n, expected = by_user[:, 0].sum(), parameters().rate(task, modality)
        error = np.sqrt(((by_user[:, 1] - expected * by_user[:, 0]) ** 2).sum()) / n  # posts of one user hang together
        assert abs(by_user[:, 1].sum() / n - expected) < 4 * error


@pytest.mark.parametrize("task", [t["name"] for t in rows("task")])
def test_people_err_on_text_at_the_stated_rates_and_not_on_the_test_images(task):
    stated = next(t for t in rows("task") if t["name"] == task)
    found = ask(world(*MIDDLE), f"SELECT post_id < 500000000, t.{task}, h.{task} = 'violates', count(*) FROM truth AS t JOIN human_label AS h USING (post_id) GROUP BY ALL")
    n = {(text, true, said): c for text, true, said, c in found}
    assert n.get((False, True, False), 0) == n.get((False, False, True), 0) == 0 < n[False, True, True]
    for true, rate in ((True, float(stated["miss_rate"])), (False, float(stated["false_alarm_rate"]))):
        wrong, right = n.get((True, true, not true), 0), n[True, true, true]
        total = wrong + right
        assert abs(wrong - rate * total) < 4.5 * np.sqrt(total * rate * (1 - rate)) + 1


def test_labels_are_there_for_text_and_the_test_set_alone():
    found = dict(ask(world(*SMALL), "SELECT split, count(h.post_id) FROM image_post LEFT JOIN human_label AS h USING (post_id) GROUP BY 1"))
    assert found == {"train": 0, "test": SMALL[2]}
    assert ask(world(*SMALL), "SELECT count(*) FROM text_post ANTI JOIN human_label USING (post_id)") == [(0,)]


def test_keys_are_unique_over_modalities():
    keys = "SELECT post_id FROM text_post UNION ALL SELECT post_id FROM image_post"
    assert ask(world(*MIDDLE), f"SELECT count(*), count(DISTINCT post_id) FROM ({keys})") == [(sum(MIDDLE), sum(MIDDLE))]


def test_fifteen_resources_in_four_sets():
    found = ask(world(*SMALL), "SELECT feature_set, count(*), count(*) FILTER (NOT servable), list(feature) FROM organizational_resource GROUP BY 1 ORDER BY 1")
    assert [(s, n) for s, n, _, _ in found] == [("A", 3), ("B", 2), ("C", 5), ("D", 5), ("I", 1)]
    assert sum(hidden for _, _, hidden, _ in found) == 1
    common = [f for s, _, _, names in found if s != "I" for f in names]
    for modality in ("text", "image"):
        types = {name: kind for name, kind, *_ in ask(world(*SMALL), f"DESCRIBE {modality}_post_features")}
        kinds = [types[f] for f in common]
        assert kinds.count("VARCHAR[]") == 14 and types["user_reports"] == "BIGINT"


@pytest.mark.parametrize("feature", LISTS)
@pytest.mark.parametrize("modality", ("text", "image"))
def test_failed_and_found_nothing_are_two_things(feature, modality):
    """NULL, [] and lists all occur; NULL at the stated rate, always where the service does not apply; no token twice, no NULL inside."""
    row = next(r for r in rows("service") if r["feature"] == feature)
    applies = "url IS NOT NULL" if row["needs_link"] == "true" else "true"
    found = ask(world(*MIDDLE), f"""
        SELECT count(*) FILTER ({applies}), count(*) FILTER ({applies} AND {feature} IS NULL), count(*) FILTER ({feature} = []), count(*) FILTER (len({feature}) > 0),
               count(*) FILTER (NOT ({applies}) AND {feature} IS NOT NULL), count(*) FILTER (len({feature}) <> len(list_distinct({feature})))
        FROM {modality}_post""")
    n, failed, empty, full, where_not_applicable, doubled = found[0]
    rate = float(row[f"{modality}_failure"])
    assert abs(failed - n * rate) < 5 * np.sqrt(n * rate * (1 - rate))
    assert empty > 0 < full and where_not_applicable == doubled == 0


def test_vocabularies_go_into_the_thousands():
    found = dict(ask(world(*MIDDLE), "SELECT 'subtopics', count(DISTINCT t) FROM (SELECT unnest(subtopics) AS t FROM text_post) UNION ALL SELECT 'topics', count(DISTINCT t) FROM (SELECT unnest(topics) AS t FROM text_post)"))
    assert found["subtopics"] > 3_000 and found["topics"] < 20
    assert len(set(noise_words())) == 4_096


def test_modalities_differ_as_much_as_the_parameters_say():
    """Total variation of topics between text and image: measured, and computed from the parameters."""
    given, slot = parameters(), next(s for s in parameters().slots if s.name == "topics")
    expected = {}
    for m in ("text", "image"):
        row = next(r for r in rows("service") if r["feature"] == "topics")
        h, mistakes = float(row[f"{m}_fidelity"]), given.scene[m][0]
        by_scene = h * slot.p + (1 - h) * mistakes @ slot.p
        expected[m] = given.prior(m).sum(axis=1) @ by_scene
    exact = 0.5 * np.abs(expected["text"] - expected["image"])[:-1].sum()
    share = "SELECT t, count(*) / sum(count(*)) OVER () AS p FROM (SELECT unnest(topics) AS t FROM {}_post) GROUP BY t"
    measured = ask(world(*MIDDLE), f"SELECT 0.5 * sum(abs(coalesce(a.p, 0) - coalesce(b.p, 0))) FROM ({share.format('text')}) AS a FULL JOIN ({share.format('image')}) AS b USING (t)")[0][0]
    assert exact > 0.1 and measured == pytest.approx(exact, abs=0.03)


def test_services_see_less_on_images():
    """How often `keywords` names a word of the true scene."""
    found = {}
    for m in ("text", "image"):
        found[m] = ask(world(*MIDDLE), f"SELECT avg(CAST(list_contains(keywords, 'election') AS INTEGER)) FROM {m}_post JOIN truth USING (post_id) WHERE scene = {len(parameters().scenes) - 1}")[0][0]
    assert found["image"] < 0.8 * found["text"]


def test_reports_look_at_nothing_that_comes_later():
    latest, first = ask(world(*SMALL), "SELECT (SELECT max(reported_at) FROM report), (SELECT min(posted_at) FROM text_post)")[0]
    assert latest < first
    last_text, first_image = ask(world(*SMALL), "SELECT (SELECT max(posted_at) FROM text_post), (SELECT min(posted_at) FROM image_post)")[0]
    assert last_text < first_image


def test_the_report_count_is_a_count_of_reports():
    wrong = "SELECT count(*) FROM image_post_features AS f WHERE f.user_reports <> (SELECT count(*) FROM report AS r WHERE r.user_id = f.user_id)"
    assert ask(world(*SMALL), wrong) == [(0,)]
    assert ask(world(*SMALL), "SELECT count(*) FROM report ANTI JOIN member USING (user_id)") == [(0,)]


def test_bodies_hold_the_keywords_found_in_them():
    share = ask(world(*SMALL), "SELECT avg(CAST(contains(body, keywords[1]) AS INTEGER)) FROM text_post WHERE len(keywords) > 0 AND NOT contains(keywords[1], ' ')")[0][0]
    assert share == 1
    assert ask(world(*SMALL, with_text=False), "SELECT count(body) FROM text_post") == [(0,)]


def test_sizes_of_table_1():
    assert Sizes.of_table_1("CT1", 1) == Sizes(18_000_000, 7_200_000, 17_000)
    assert Sizes.of_table_1("CT4", 0.001) == Sizes(25_000, 7_300, 10_000)
    assert Sizes.of_rows(100_000) == Sizes(60_000, 25_000, 15_000)


def test_a_world_is_never_written_over_another(tmp_path):
    from groundswell.examples.moderation.build import build, main

    build(tmp_path, Sizes(100, 40, 10))
    with pytest.raises(FileExistsError, match="holds a world already"):
        build(tmp_path, Sizes(100, 40, 10))
    for wrong in ([str(tmp_path)], [str(tmp_path / "new"), "--rows", "10"], [str(tmp_path / "new"), "--table-1", "CT9"]):
        with pytest.raises(SystemExit) as ended:
            main(wrong)
        assert ended.value.code == 2


def test_pictures_show_their_mean_colour(tmp_path):
    from PIL import Image

    import pyarrow.parquet as pq

    from groundswell.examples.moderation.pictures import render, write_pictures

    generator = Generator(Sizes(10, 300, 100))
    generator.choose("image", 0, 150)
    assert write_pictures(generator.connection, tmp_path / "a.parquet") == 150
    found = pq.read_table(tmp_path / "a.parquet").to_pydict()
    write_pictures(generator.connection, tmp_path / "b.parquet")
    assert found == pq.read_table(tmp_path / "b.parquet").to_pydict() and len(set(found["image"])) == 150
    pixels = [np.asarray(Image.open(io.BytesIO(b))) for b in found["image"]]
    assert {p.shape for p in pixels} == {(48, 48, 3)}
    colours = dict(generator.connection.execute("SELECT post_id, mean_colour FROM picture").fetchall())
    ground = np.array([np.median(p.reshape(-1, 3), axis=0) / 255 for p in pixels])
    wanted = np.clip([colours[k] for k in found["post_id"]], 0, 1)
    assert np.corrcoef(ground.ravel(), wanted.ravel())[0, 1] > 0.8
    empty = render(np.array([0.5, 0.5, 0.5]), [None], 1)
    assert abs(empty.mean() / 255 - 0.5) < 0.02 < abs(render(np.array([0.5, 0.5, 0.5]), ["chart"], 1).astype(float) - empty).max()


def test_a_token_belongs_to_one_place_of_an_answer():
    """So that an answer can be read back: slots of one feature share no token, and noise words are no tokens."""
    for feature in {s.feature for s in parameters().slots}:
        tokens = [t for s in parameters().slots if s.feature == feature for t in s.tokens]
        assert len(tokens) == len(set(tokens)) and not set(tokens) & set(noise_words())
    assert all(s.size <= len(noise_words()) for s in parameters().noise_slots)


def test_binned_probabilities_are_the_nearest_that_sum_up():
    p = np.array([[0.5, 0.3, 0.2], [1 / 3, 1 / 3, 1 / 3]])
    assert binned(p, 10).tolist() == [[5, 3, 2], [4, 3, 3]]
    rng = np.random.default_rng(0)
    for _ in range(50):
        q = rng.dirichlet(np.ones(7) * 0.3)
        counts = binned(q, 1024)
        assert counts.sum() == 1024 and np.abs(counts / 1024 - q).max() < 1 / 1024
