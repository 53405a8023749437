"""`python -m drr_agent`: the command line, also for `accelerate launch -m drr_agent train …`."""

from drr_agent.cli import main

main()
