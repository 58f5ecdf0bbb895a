-- Random draws and service mistakes, as scalar macros. World parameters are variables: see parameters.sql.
--
-- draw(i, stream) in [0, 1) depends on the row's id, the seed and the name of the stream, and on nothing else: neither on the
-- number of rows nor on threads. Hashed twice: hash() of several values ends in an exclusive or, by which the streams of one row
-- would only differ by a constant.
CREATE OR REPLACE TEMP MACRO draw(i, stream) AS CAST(hash(hash(i, getvariable('seed'), stream)) >> 11 AS DOUBLE) * pow(2, -53);

CREATE OR REPLACE TEMP MACRO at_random(i, stream, n) AS CAST(floor(n * draw(i, stream)) AS BIGINT);

CREATE OR REPLACE TEMP MACRO pick(i, stream, words) AS words[1 + at_random(i, stream, len(words))];

-- A centred logistic variable of scale 1; an embedding and a mean colour are the centre of their scene plus such noise.
CREATE OR REPLACE TEMP MACRO logistic(i, stream) AS ln((draw(i, stream) + 1e-12) / (1 - draw(i, stream)));

CREATE OR REPLACE TEMP MACRO embedding(i, scene) AS
    CAST(list_transform(range(32), lambda d: getvariable('embedding_centre')[1 + scene * 32 + d] + getvariable('embedding_scale') * logistic(i * 32 + d, 'embedding')) AS FLOAT[32]);

CREATE OR REPLACE TEMP MACRO mean_colour(i, scene) AS
    CAST(list_transform(range(3), lambda d: getvariable('mean_colour_centre')[1 + scene * 3 + d] + getvariable('mean_colour_scale') * logistic(i * 3 + d, 'mean colour')) AS FLOAT[3]);

-- What a service takes the scene for: the scene itself with probability `fidelity`, else one of those a regular author posts, as
-- often as they do: services err towards what is common.
CREATE OR REPLACE TEMP MACRO perceived(i, scene, feature) AS
    CASE
        WHEN draw(i, feature || ' sees') < getvariable('fidelity')[feature] THEN scene
        ELSE getvariable('scene_bins')[1 + at_random(i, feature || ' mistakes it', 4096)]
    END;

-- One token of a slot: the inverse distribution function of the state, in 1,024 steps. NULL = nothing found.
CREATE OR REPLACE TEMP MACRO token_of(i, stream, slot, state) AS getvariable(slot)[1 + state * 1024 + at_random(i, stream, 1024)];

CREATE OR REPLACE TEMP MACRO token(i, slot, state) AS token_of(i, slot, slot, state);

-- A token that says nothing about the post, with ranks after Zipf's law: P(rank = r) = ln((r + 1) / r) / ln(size).
CREATE OR REPLACE TEMP MACRO noise(i, slot, words) AS
    CASE
        WHEN draw(i, slot || ' silent') >= getvariable('silence')[slot]
            THEN words[CAST(floor(pow(getvariable('noise_size')[slot], draw(i, slot))) AS BIGINT)]
    END;

-- The answer of a service: NULL = not applicable or failed, [] = nothing found.
CREATE OR REPLACE TEMP MACRO answer(i, feature, applies, tokens) AS
    CASE
        WHEN applies AND draw(i, feature || ' fails') >= getvariable('failure')[feature] THEN list_filter(tokens, lambda t: t IS NOT NULL)
    END;

-- What is true of a post, and what a person who reads it says: violations are missed and harmless posts are called violations at
-- the rates of task.csv.
CREATE OR REPLACE TEMP MACRO violates(i, scene, level, task) AS draw(i, task) < getvariable('risk ' || task)[1 + scene * 4 + level];

CREATE OR REPLACE TEMP MACRO called(i, truth, task) AS
    CASE
        WHEN truth THEN draw(i, task || ' reader') >= getvariable('miss_rate')[task]
        ELSE draw(i, task || ' reader') < getvariable('false_alarm_rate')[task]
    END;

CREATE OR REPLACE TEMP MACRO verdict(said) AS CASE WHEN said THEN 'violates' ELSE 'ok' END;
