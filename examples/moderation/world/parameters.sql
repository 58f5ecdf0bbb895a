-- The parameters of one modality as variables: constants of every query that follows. $modality and $seed are given; the tables
-- come from parameters.py.
SET VARIABLE seed = CAST($seed AS BIGINT);
SET VARIABLE modality = $modality;
SET VARIABLE first_id = (SELECT first_id FROM modality WHERE modality = $modality);
SET VARIABLE link_share = (SELECT link_share FROM modality WHERE modality = $modality);
SET VARIABLE posts_per_community = (SELECT posts_per_community FROM modality WHERE modality = $modality);
SET VARIABLE starts = (SELECT CAST(starts AS TIMESTAMP) FROM modality WHERE modality = $modality);
SET VARIABLE seconds = (SELECT days * 86400 FROM modality WHERE modality = $modality);
SET VARIABLE fidelity = (SELECT map(list(feature), list(fidelity)) FROM service WHERE modality = $modality);
SET VARIABLE failure = (SELECT map(list(feature), list(failure)) FROM service WHERE modality = $modality);
SET VARIABLE silence = (SELECT map(list(slot), list(nothing)) FROM noise_slot);
SET VARIABLE noise_size = (SELECT map(list(slot), list(CAST(size AS DOUBLE))) FROM noise_slot);
SET VARIABLE noise_words = (SELECT list(word ORDER BY rank) FROM noise_word);
SET VARIABLE languages = (SELECT list(word ORDER BY rank) FROM language);
SET VARIABLE level_bins = (SELECT list(level ORDER BY bin) FROM level_bin);
SET VARIABLE scene_bins = (SELECT list(scene ORDER BY level, bin) FROM scene_bin WHERE modality = $modality);
SET VARIABLE embedding_centre = (SELECT list(value ORDER BY scene, dimension) FROM centre WHERE space = 'embedding');
SET VARIABLE mean_colour_centre = (SELECT list(value ORDER BY scene, dimension) FROM centre WHERE space = 'mean_colour');
SET VARIABLE embedding_scale = (SELECT scale FROM space WHERE space = 'embedding');
SET VARIABLE mean_colour_scale = (SELECT scale FROM space WHERE space = 'mean_colour');
-- People read text posts once; the pictures of the test set were read until no one disagreed.
SET VARIABLE miss_rate = (SELECT map(list(name), list(CASE WHEN $modality = 'image' THEN 0 ELSE miss_rate END)) FROM task);
SET VARIABLE false_alarm_rate = (SELECT map(list(name), list(CASE WHEN $modality = 'image' THEN 0 ELSE false_alarm_rate END)) FROM task);
