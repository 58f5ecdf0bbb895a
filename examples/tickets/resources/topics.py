"""Services of this project; features/*.sql call them by name."""

import groundswell as gs

topics_of_text = gs.service("text_topics", fit="SELECT body FROM ticket", n_topics=12, most_rows=20_000, seed=0)
