-- The warehouse of a support shop, 50,000 tickets, generated. Run it in any DuckDB: the same rows each time.
--
-- The causal story. A customer orders. Some orders arrive late, some are cancelled within minutes, some arrive damaged. What
-- happened to the order makes the customer want something: the latent intent (refund, delivery, other). The intent chooses the
-- words, the queue the ticket lands in, and how soon after the order it is written. Words of other intents slip in ("my parcel
-- was late, I want my money back" is a refund), the queue is set by a tired bot, and one ticket in ten says almost nothing.
-- Only 1,500 tickets were ever read by a person: ticket_gold.
--
-- draw(purpose, i) is a number in [0, 1) that depends on nothing but its arguments.
CREATE MACRO draw(purpose, i) AS (md5_number_lower(purpose || ':' || i) % 1000003) / 1000003;
CREATE MACRO pick(purpose, i, words) AS words[1 + CAST(floor(draw(purpose, i) * len(words)) AS BIGINT)];

CREATE TABLE customers AS
SELECT
    i AS customer_id,
    pick('segment', i, ['consumer', 'consumer', 'consumer', 'business']) AS segment,
    DATE '2021-01-01' + CAST(draw('joined', i) * 1500 AS INTEGER) AS joined
FROM range(1, 12001) AS t(i);

CREATE TABLE orders AS
SELECT
    i AS order_id,
    1 + CAST(floor(draw('customer', i) * 12000) AS BIGINT) AS customer_id,
    TIMESTAMP '2025-01-01' + to_seconds(CAST(draw('ordered', i) * 31000000 AS BIGINT)) AS ordered_at,
    round(8 + 190 * pow(draw('amount', i), 3), 2) AS amount,
    pick('carrier', i, ['northpost', 'northpost', 'swift', 'swift', 'bluevan']) AS carrier,
    draw('late', i) < CASE pick('carrier', i, ['northpost', 'northpost', 'swift', 'swift', 'bluevan']) WHEN 'bluevan' THEN 0.55 ELSE 0.22 END AS is_late,
    draw('damaged', i) < 0.10 AS is_damaged
FROM range(1, 40001) AS t(i);

ALTER TABLE orders ADD COLUMN delivered_at TIMESTAMP;
UPDATE orders SET delivered_at = ordered_at + to_hours(CAST(CASE WHEN is_late THEN 150 + 200 * draw('transit', order_id) ELSE 40 + 60 * draw('transit', order_id) END AS BIGINT));

CREATE TEMP TABLE latent AS
SELECT
    i AS ticket_id,
    o.order_id,
    o.ordered_at,
    o.is_late,
    o.amount,
    CASE
        WHEN o.is_damaged AND draw('intent', i) < 0.75 THEN 'refund'
        WHEN o.is_late AND draw('intent', i) < 0.68 THEN 'delivery'
        WHEN draw('intent', i) < 0.20 THEN 'refund'
        WHEN draw('intent', i) < 0.42 THEN 'delivery'
        ELSE 'other'
    END AS intent
FROM range(1, 50001) AS t(i)
JOIN orders AS o ON o.order_id = 1 + CAST(floor(draw('order', i) * 40000) AS BIGINT);

CREATE TEMP TABLE phrases AS
SELECT * FROM (VALUES
    ('refund', [
        'I want a refund', 'please refund the full amount', 'give me my money back', 'I would like to return this',
        'it arrived broken and I expect compensation', 'the item is damaged, reimburse me', 'you charged me twice',
        'cancel my order and pay it back', 'this is not what I paid for', 'the quality is terrible, take it back',
        'how do I send it back', 'the box was crushed and the glass is cracked', 'wrong size again, I give up on it']),
    ('delivery', [
        'where is my parcel', 'the delivery is late', 'tracking has not moved for days', 'when will it arrive',
        'the courier never came', 'still waiting for my package', 'it says delivered but nobody was here',
        'please deliver to the neighbour', 'can you change the address of the shipment', 'the driver left it in the rain',
        'is it stuck at the depot', 'nothing in the letter box so far', 'it should have been here on Monday']),
    ('other', [
        'do you sell gift cards', 'how do I reset my password', 'the app crashes on my phone', 'is this also made in green',
        'I cannot log in', 'do you have a store in my town', 'thank you, great service', 'please unsubscribe me',
        'does the warranty cover batteries', 'can I pay by invoice', 'I need a copy of the receipt for tax',
        'which cable fits this model', 'your newsletter is lovely'])
) AS t(intent, phrase);

CREATE TABLE ticket AS
SELECT
    l.ticket_id,
    l.order_id,
    l.ordered_at + to_minutes(CAST(CASE
        WHEN l.intent = 'refund' AND draw('soon', l.ticket_id) < 0.25 THEN 50 * draw('minutes', l.ticket_id)
        ELSE 1440 * 10 * draw('minutes', l.ticket_id) + 60
    END AS BIGINT)) AS created_at,
    pick('channel', l.ticket_id, ['mail', 'mail', 'chat', 'form']) AS channel,
    CASE
        WHEN draw('queue', l.ticket_id) < 0.30 THEN NULL
        WHEN draw('tired', l.ticket_id) < 0.25 THEN pick('anyqueue', l.ticket_id, ['billing', 'logistics', 'general'])
        ELSE CASE l.intent WHEN 'refund' THEN 'billing' WHEN 'delivery' THEN 'logistics' ELSE 'general' END
    END AS queue,
    concat_ws(
        ' ',
        pick('hello', l.ticket_id, ['Hello,', 'Hi,', 'Good morning.', 'To whom it may concern:', 'Hey!!', '']),
        CASE WHEN draw('silent', l.ticket_id) < 0.10
            THEN pick('vague', l.ticket_id, ['please call me', 'I have a question', 'see my last message', 'any news?'])
            ELSE pick('phrase', l.ticket_id, p.phrase)
        END || pick('stop', l.ticket_id, ['.', '!', '...', '']),
        CASE WHEN draw('second', l.ticket_id) < 0.35 THEN pick('phrase2', l.ticket_id, p.phrase) || '.' END,
        CASE WHEN draw('slip', l.ticket_id) < 0.18 THEN pick('slipped', l.ticket_id, q.phrase) || '.' END,
        CASE WHEN draw('order no', l.ticket_id) < 0.4 THEN 'Order ' || l.order_id || '.' END,
        pick('bye', l.ticket_id, ['Thanks', 'Best regards', 'Please hurry', '', 'Kind regards, Müller', '🙏'])
    ) AS body
FROM latent AS l
JOIN phrases AS p ON p.intent = l.intent
JOIN phrases AS q ON q.intent = pick('slip to', l.ticket_id, ['refund', 'delivery', 'other']);

CREATE TABLE ticket_gold AS
SELECT
    ticket_id,
    intent AS label
FROM latent
ORDER BY md5('gold:' || ticket_id)
LIMIT 1500;
