"""An LF in Python: an Ibis predicate, compiled to the same SQL as the others."""

import groundswell as gs


@gs.lf("other", owner="cx-analytics", tags=("text",))
def says_thanks_for_service(ticket):
    return ticket.body.lower().contains("great service") | ticket.body.lower().contains("lovely")
