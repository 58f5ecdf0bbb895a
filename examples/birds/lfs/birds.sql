-- What the photos say of each other, and what a bird book says.

-- lf: clusters
-- tags: affinity
-- the clusters of affinity coding, as sure as they are: groundswell affinity
SELECT entity_id, label, p FROM affinity_label WHERE affinity_function = 'image';

-- lf: blue_and_green -> Green_Jay
-- tags: colour
-- green wings and a blue head in the middle of the photo
FROM entity WHERE green > 0.05 AND blue > 0.01;

-- lf: no_colour -> Whip_Poor_Will
-- tags: colour
-- brown and grey like the leaves it sits on
FROM entity WHERE green + blue < 0.02;
