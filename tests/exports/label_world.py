"""A shop whose warehouse holds every kind of text, list, number and time labeling functions look at."""

from __future__ import annotations

import random

CLASSES = ("refund", "delivery", "it's other")

CONFIG = """
[project]
name = "shop"
[warehouse]
from = "warehouse.duckdb"
[modality.text]
from = "ticket"
key  = "ticket_id"
[task.intent]
classes = ["refund", "delivery", "it's other"]
{gold}
label_model = {{ {model} }}
"""

LFS = r"""-- lf: says_refund -> refund
FROM ticket WHERE body ILIKE '%Refund%';

-- lf: umlaut -> refund
FROM ticket WHERE body ILIKE '%ÜBERWEISUNG%' OR lower(body) LIKE 'école%';

-- lf: not_ilike -> it's other
FROM ticket WHERE body NOT ILIKE '%e%';

-- lf: like_marks -> delivery
FROM ticket WHERE body LIKE '%100!%%' ESCAPE '!' OR body LIKE '%a\b%' OR body LIKE '_ello%';

-- lf: word_money -> refund
FROM ticket WHERE regexp_matches(body, '\bMONEY\b', 'i');

-- lf: no_flag -> refund
FROM ticket WHERE regexp_matches(body, 'Money|cash$');

-- lf: dot_and_end -> delivery
FROM ticket WHERE regexp_matches(body, 'late.parcel') OR regexp_matches(body, '^hello$');

-- lf: whole_text -> it's other
FROM ticket WHERE body ~ 'hello[\s\w.]*' OR regexp_full_match(body, '\d{1,3} ?%');

-- lf: folded -> refund
FROM ticket WHERE regexp_matches(body, '(?i)übe[rü]|CAF[É]') AND NOT regexp_matches(body, '[[:digit:]]+\.');

-- lf: has_parcel -> delivery
FROM ticket WHERE list_contains(words, 'parcel');

-- lf: no_parcel -> it's other
FROM ticket WHERE NOT list_contains(words, 'parcel') AND NOT list_has_any(words, ['refund', 'it''s']);

-- lf: all_words -> delivery
FROM ticket WHERE list_has_all(words, ['parcel', 'late']) OR len(words) > 3;

-- lf: affixes -> refund
FROM ticket WHERE starts_with(body, 'I want') OR ends_with(body, '!') OR body ^@ '100%' OR contains(body, 'it''s');

-- lf: lengths -> it's other
FROM ticket WHERE length(body) BETWEEN 5 AND 9 OR left(body, 2) = 'ca' OR substr(body, 3, 2) = 'ch' OR replace(body, 'o', '0') = 'hell0';

-- lf: order_of_text -> it's other
FROM ticket WHERE body > 'a' AND body < 'f' AND queue <> 'general';

-- lf: numbers -> delivery
FROM ticket WHERE score >= 0.5 AND n * 2 + 1 > 6 AND n / 2 > 1.2 AND n % 3 <> 1 AND score * 3 < 2.9;

-- lf: nan_is_large -> it's other
FROM ticket WHERE score > 100;

-- lf: price -> refund
FROM ticket WHERE price > 10.05 AND price / NULLIF(n, 0) < 50.5;

-- lf: nulls -> it's other
FROM ticket WHERE queue IS NULL OR queue IS NOT DISTINCT FROM 'general' OR (n > 3) IS NOT TRUE AND coalesce(queue, 'none') = 'none';

-- lf: lately -> delivery
FROM ticket WHERE created_at >= '2026-01-05' AND created_at + INTERVAL 36 HOUR < TIMESTAMP '2026-01-12 12:30:00' AND day <> '2026-01-07';

-- lf: parts -> it's other
FROM ticket WHERE month(day) = 1 AND extract(hour FROM created_at) > 15 AND date_part('day', day) < 9;

-- lf: queue_prior
SELECT ticket_id, CASE queue WHEN 'billing' THEN 'refund' WHEN 'logistics' THEN 'delivery' WHEN 'general' THEN 'it''s other' END AS label FROM ticket;

-- lf: by_rule
SELECT ticket_id, CASE WHEN n > 7 THEN 'refund' WHEN n > 4 AND vip THEN 'delivery' END AS label FROM ticket WHERE queue IN ('billing', 'logistics');

-- lf: not_refund -> !refund
FROM ticket WHERE queue = 'logistics' AND NOT vip;

-- lf: scored
SELECT ticket_id, 'refund' AS label, risk AS p FROM ticket WHERE risk IS NOT NULL;

-- lf: two_scores
SELECT ticket_id, 'delivery' AS label, risk / 2 AS p FROM ticket WHERE n > 2
UNION ALL
SELECT ticket_id, 'it''s other', 1 - risk FROM ticket WHERE n > 3 AND risk > 0.6;

-- lf: late_order -> delivery
FROM ticket JOIN orders USING (order_id) WHERE is_late;

-- lf: soon -> refund
FROM ticket AS t JOIN orders AS o ON t.order_id = o.order_id WHERE t.created_at < o.ordered_at + INTERVAL 2 DAY;

-- lf: many_items -> delivery
SELECT t.ticket_id FROM ticket t LEFT JOIN item i ON i.order_id = t.order_id GROUP BY t.ticket_id HAVING count(i.name) >= 3 OR max(i.name) = 'Zebra' OR count(*) FILTER (WHERE i.weight > 4) > 1;

-- lf: newest -> refund
SELECT ticket_id FROM ticket WHERE order_id IS NOT NULL QUALIFY row_number() OVER (PARTITION BY order_id ORDER BY n DESC, ticket_id) = 1;

-- lf: never_ordered -> it's other
FROM ticket WHERE NOT EXISTS (SELECT 1 FROM orders WHERE orders.order_id = ticket.order_id) AND ticket_id IN (SELECT ticket_id FROM ticket WHERE vip);

-- lf: over_entity -> delivery
WITH busy AS (SELECT queue, avg(n) AS mean FROM entity GROUP BY queue) SELECT entity_id FROM entity JOIN busy USING (queue) WHERE n > mean + 3;

-- lf: label -> it's other
FROM ticket WHERE body = 'hello' AND n > 2;
"""

BODIES = [
    "I want a refund", "REFUND please", "where is my parcel", "late\nparcel", "late parcel", "hello", "hello\n", "Hello", "it's 100% late", "100% sure!",
    "a\\b c", "money back", "moneyed people", "die Überweisung fehlt", "ÜBERWEISUNG", "École fermée", "école", "cafés café", "CAFÉ", "Cash now", "cash", "my cash",
    "say 'hi'", "chéchch", None, "", "hello 1.5", "12 %", "tab\there", "b", "e", "Éclair", "émoney", "money_box", "parcel, money. late", "ß", "x" * 50,
]  # fmt: skip


WORDS = ["parcel", "late", "refund", "it's"]


def world(seed: int = 0, n: int = 400) -> str:
    """Statements that make the warehouse."""
    r = random.Random(seed)
    tickets = [
        _row(
            i, text(r.choice(BODIES)), _some(r, text(r.choice(["billing", "logistics", "general"]))), _some(r, r.randrange(60), 0.3),
            _some(r, _time(r)), _some(r, f"CAST({_time(r)} AS DATE)"), _some(r, r.choice(["'NaN'::DOUBLE", *[round(r.random(), 3)] * 9])),
            _some(r, r.randrange(10)), r.randrange(4000) / 100, _some(r, r.choice(["true", "false"])), _some(r, _words(r)), _some(r, round(r.random(), 2), 0.4),
        )
        for i in range(n)
    ]  # fmt: skip
    tickets += [_row(n + i, "NULL", "'else'", *["NULL"] * 4, 1, 5, "false", "NULL", "NULL") for i in range(5)]  # nothing fires
    orders = [_row(i, r.choice(["true", "false", "NULL"]), _time(r)) for i in range(40)]
    items = [_row(r.randrange(45), text(r.choice(["apple", "Zebra", "zebra", "Äpfel"])), _some(r, r.randrange(9))) for _ in range(90)]
    gold = [_row(i, text(r.choice(CLASSES))) for i in range(0, n, 9)]
    return f"""
        CREATE TABLE ticket (ticket_id BIGINT, body VARCHAR, queue VARCHAR, order_id BIGINT, created_at TIMESTAMP, day DATE, score DOUBLE, n BIGINT,
            price DECIMAL(9, 2), vip BOOLEAN, words VARCHAR[], risk DOUBLE);
        INSERT INTO ticket VALUES {", ".join(tickets)};
        CREATE TABLE orders (order_id BIGINT, is_late BOOLEAN, ordered_at TIMESTAMP);
        INSERT INTO orders VALUES {", ".join(orders)};
        CREATE TABLE item (order_id BIGINT, name VARCHAR, weight BIGINT);
        INSERT INTO item VALUES {", ".join(items)};
        CREATE TABLE ticket_gold (ticket_id BIGINT, label VARCHAR);
        INSERT INTO ticket_gold VALUES {", ".join(gold)};
    """


def text(value: str | None) -> str:
    """A literal."""
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"


def _row(*values: object) -> str:
    return f"({', '.join(map(str, values))})"


def _some(r: random.Random, value: object, share: float = 0.12) -> object:
    """The value, or NULL on a share of the rows."""
    return "NULL" if r.random() < share else value


def _time(r: random.Random) -> str:
    return f"TIMESTAMP '2026-01-{r.randrange(1, 15):02} {r.randrange(24):02}:30:00'"


def _words(r: random.Random) -> str:
    return f"[{', '.join(r.choice(['NULL', *map(text, WORDS)]) for _ in range(r.randrange(5)))}]::VARCHAR[]"
