-- feature: pixels   kind: service   set: P   servable: yes   modalities: image
SELECT product_id, look(image) AS pixels FROM photo;
