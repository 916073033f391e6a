"""`python3 -m course_utils lab`: set the course up where that is needed, then run the command."""

import sys

from course_utils.bootstrap import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
