-- pattern_examples(pattern): up to 20 entities with the votes of one pattern.
-- Reads       entity_pattern
-- Output      entity_id
-- Source      a deterministic sample: smallest MD5 of the key
-- Invariants  the same rows each time
SELECT entity_id
FROM entity_pattern
WHERE pattern_id = $pattern
ORDER BY md5(CAST(entity_id AS VARCHAR))
LIMIT 20
