-- feature: green   kind: service   set: C
SELECT photo_id, hue_share(image, 70, 170) AS green FROM photo;

-- feature: blue   kind: service   set: C
SELECT photo_id, hue_share(image, 170, 260) AS blue FROM photo;
