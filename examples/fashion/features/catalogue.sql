-- feature: article   kind: service   set: A   servable: no   modalities: text, image
SELECT product_id, article FROM catalogue;

-- feature: category   kind: service   set: A   servable: yes   modalities: text, image
SELECT product_id, category FROM catalogue;

-- feature: colour   kind: service   set: B   servable: yes   modalities: text, image
SELECT product_id, colour FROM catalogue;

-- feature: season   kind: aggregate   set: C   servable: yes   modalities: text, image
SELECT product_id, season FROM catalogue;

-- feature: year   kind: aggregate   set: C   servable: yes   modalities: text, image
SELECT product_id, year FROM catalogue;
