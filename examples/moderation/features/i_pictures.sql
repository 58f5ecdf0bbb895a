-- Set I: what pictures alone have.

-- feature: detected_objects   kind: service   set: I   servable: yes   modalities: image
-- objects found by an image detector
SELECT post_id, detected_objects FROM image_post;

-- feature: picture_colours   kind: service   set: I   servable: yes   modalities: image
-- names of the colours in the pixels, where a picture was kept; computed by groundswell's own service
SELECT post_id, image_colours(image) AS picture_colours FROM image_file;
