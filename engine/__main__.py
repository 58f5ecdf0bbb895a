"""python -m groundswell"""

from .cli import main

main()
